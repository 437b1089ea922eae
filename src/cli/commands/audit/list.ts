import { Option } from 'commander';

import { auditActions, auditOutcomes } from '../../../domain/audit-event.ts';
import { isUuid } from '../../../domain/validation.ts';
import { parseCount, parseDurationMs } from '../../../config/quantities.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { auditFilter, type AuditQuery } from '../../../features/audit/list-audit-events.ts';
import {
  type AuditFilter,
  listAuditEvents,
  type RecordedEvent,
} from '../../../features/audit/audit-queries.ts';
import { commandCall, type CommandDefinition } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { printJson, printNotice, printTable } from '../../output.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 10_000;
const MAX_LIMIT = 1_000;

interface Options {
  readonly actor?: string;
  readonly target?: string;
  readonly action?: string;
  readonly outcome?: string;
  readonly since?: string;
  readonly until?: string;
  readonly before?: string;
  readonly limit: string;
  readonly json?: boolean;
}

/** `postern audit list [--actor ID] [--target ID] [--action A] [--outcome O] [--since T] [--until T] [--before ID] [--limit N] [--json]` */
export const auditList: CommandDefinition = (command) => {
  command
    .option('--actor <id>', 'only actions by this user or service account, or by HOST/USER for a command')
    .option('--target <id>', 'only actions on this user, session, token, service account or key')
    .addOption(new Option('--action <name>', 'only this action').choices(auditActions))
    .addOption(new Option('--outcome <word>', 'only this outcome').choices(auditOutcomes))
    .option(
      '--since <time>',
      'only from this time on: a duration back from now, such as 24h, or 2026-01-31T00:00:00Z',
    )
    .option('--until <time>', 'only before this time, in the same formats')
    .option('--before <id>', 'only events older than this one, for the next page')
    .option('--limit <count>', `the number of events at most, up to ${MAX_LIMIT}`, '50')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nThe newest events come first.')
    .action(async (options: Options) => {
      const limit = parseLimit(options.limit);
      const before = options.before ?? null;
      if (before !== null && !isUuid(before))
        throw wrongUse(
          '--before is not the id of an event',
          'Use the id of the last event of the previous page.',
        );
      const filter = parseFilter({
        actor: options.actor ?? '',
        target: options.target ?? '',
        action: options.action ?? '',
        outcome: options.outcome ?? '',
        since: parseTime('--since', options.since),
        until: parseTime('--until', options.until),
      });
      const rows = await openDatabaseFor({ schema: true }, (database) =>
        database.run(commandCall(LIMIT_MS), (db) =>
          // One more than is printed, to see whether there are older events.
          listAuditEvents(db, filter, { beforeId: before, limit: limit + 1 }),
        ),
      );
      const events = rows.slice(0, limit);
      if (options.json) printJson(events.map(eventDocument));
      else
        printTable(['AT', 'ACTION', 'OUTCOME', 'REASON', 'ACTOR', 'TARGET', 'ADDRESS'], events.map(eventRow));
      const last = events.at(-1);
      if (last && rows.length > limit) printNotice(`There are older events: --before ${last.id}`);
    });
};

/** Reports a value that the service would reject as a wrong option. */
function parseFilter(query: AuditQuery): AuditFilter {
  try {
    return auditFilter(query);
  } catch (error) {
    if (!(error instanceof Rejected) || error.rejection.kind !== 'field-invalid') throw error;
    const lines = error.rejection.violations.map(({ field, description }) => `--${field} ${description}`);
    throw wrongUse(lines.join('\n'), 'Find the ids with user list, service list and audit list.');
  }
}

function parseLimit(text: string): number {
  const count = parseCount(text);
  if (count !== null && count >= 1 && count <= MAX_LIMIT) return count;
  throw wrongUse(`--limit must be a number from 1 to ${MAX_LIMIT}`, 'Use --before for the next page.');
}

function parseTime(option: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const backMs = parseDurationMs(text);
  if (backMs !== null) return new Date(Date.now() - backMs);
  const time = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
    ? new Date(text)
    : null;
  if (time && !Number.isNaN(time.getTime())) return time;
  throw wrongUse(
    `${option} is not a time`,
    'Write a duration such as 30m, 24h or 7d, or a time such as 2026-01-31 (midnight UTC) or 2026-01-31T12:00:00Z.',
  );
}

function eventRow(event: RecordedEvent): string[] {
  const { at, action, outcome, reason, targetType, targetId, clientAddress } = event;
  return [
    at.toISOString(),
    action,
    outcome,
    reason ?? '',
    actorText(event),
    reference(targetType, targetId),
    clientAddress ?? '',
  ];
}

/** The actor, with the rest of the chain when a service acted for somebody. */
function actorText({ actorType, actorId, details }: RecordedEvent): string {
  const actor = reference(actorType, actorId);
  const { actors, subject } = (details ?? {}) as { readonly actors?: unknown; readonly subject?: unknown };
  if (!Array.isArray(actors)) return actor;
  const [last, ...before] = actors as unknown[];
  // An exchange is recorded as by the last service that acts, a revocation as by the subject.
  if (last === actorId) return [actor, ...before, subject].join(' for ');
  return `${actor} through ${actors.join(', ')}`;
}

function reference(type: string | null, id: string | null): string {
  return type ? `${type} ${id ?? ''}`.trimEnd() : '';
}

/** An event as `--json` prints it. The names are those of the gRPC contract. */
function eventDocument(event: RecordedEvent): object {
  return {
    id: event.id,
    at: event.at.toISOString(),
    action: event.action,
    outcome: event.outcome,
    reason: event.reason,
    actor_type: event.actorType,
    actor_id: event.actorId,
    target_type: event.targetType,
    target_id: event.targetId,
    client_address: event.clientAddress,
    user_agent: event.userAgent,
    request_id: event.requestId,
    details: event.details,
  };
}
