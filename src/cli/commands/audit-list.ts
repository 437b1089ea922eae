import { Option } from 'commander';

import { auditActions, auditOutcomes } from '../../domain/audit-event.ts';
import { isUuid } from '../../domain/validation.ts';
import { parseCount, parseDurationMs } from '../../config/quantities.ts';
import { Rejected } from '../../domain/rejection.ts';
import { auditFilter, type AuditQuery } from '../../features/audit/list-audit-events.ts';
import { type AuditFilter, listAuditEvents, type RecordedEvent } from '../../features/audit/audit-queries.ts';
import { commandCall, type CommandDefinition } from '../command.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printTable, tell } from '../output.ts';
import { openDatabaseFor } from '../open/with-database.ts';

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
    .option('--actor <id>', 'only what this user or service account did')
    .option('--target <id>', 'only what was done to this user, session, token, service account or key')
    .addOption(new Option('--action <name>', 'only this').choices(auditActions))
    .addOption(new Option('--outcome <word>', 'only what ended so').choices(auditOutcomes))
    .option(
      '--since <time>',
      'only this late: a duration back from now, such as 24h, or 2026-01-31T00:00:00Z',
    )
    .option('--until <time>', 'only before this time, written alike')
    .option('--before <id>', 'go on with what is older than this event: the next page')
    .option('--limit <count>', `how many at most, up to ${MAX_LIMIT}`, '50')
    .option('--json', 'print one JSON array')
    .addHelpText('after', '\nThe newest come first.')
    .action(async (options: Options) => {
      const { limit, before } = { limit: limitOf(options.limit), before: options.before ?? null };
      if (before !== null && !isUuid(before))
        throw wrongUse('--before is no id of an event', 'Take it from the list before.');
      const filter = filterOf({
        actor: options.actor ?? '',
        target: options.target ?? '',
        action: options.action ?? '',
        outcome: options.outcome ?? '',
        since: timeOf('--since', options.since),
        until: timeOf('--until', options.until),
      });
      const found = await openDatabaseFor({ schema: true }, (database) =>
        database.run(commandCall(LIMIT_MS), (db) =>
          // One more than is shown tells whether there are older ones.
          listAuditEvents(db, filter, { beforeId: before, limit: limit + 1 }),
        ),
      );
      const events = found.slice(0, limit);
      if (options.json) printJson(events.map(document));
      else printTable(['AT', 'ACTION', 'OUTCOME', 'REASON', 'ACTOR', 'TARGET', 'ADDRESS'], events.map(row));
      const last = events.at(-1);
      if (last && found.length > limit) tell(`There are older ones: --before ${last.id}`);
    });
};

/** What breaks a rule of the service is an option that is written wrong. */
function filterOf(query: AuditQuery): AuditFilter {
  try {
    return auditFilter(query);
  } catch (error) {
    if (!(error instanceof Rejected) || error.rejection.kind !== 'field-invalid') throw error;
    const lines = error.rejection.violations.map(({ field, description }) => `--${field} ${description}`);
    throw wrongUse(lines.join('\n'), 'user list, service list and audit list show the ids.');
  }
}

function limitOf(text: string): number {
  const count = parseCount(text);
  if (count !== null && count >= 1 && count <= MAX_LIMIT) return count;
  throw wrongUse(
    `--limit is not a number from 1 to ${MAX_LIMIT}`,
    'Go on from the last event with --before.',
  );
}

function timeOf(option: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const backMs = parseDurationMs(text);
  if (backMs !== null) return new Date(Date.now() - backMs);
  const time = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
    ? new Date(text)
    : null;
  if (time && !Number.isNaN(time.getTime())) return time;
  throw wrongUse(
    `${option} is no time`,
    'Write 30m, 24h or 7d, or 2026-01-31 (midnight UTC), or 2026-01-31T12:00:00Z.',
  );
}

function wrongUse(what: string, advice: string): CommandFailure {
  return new CommandFailure(exitCodes.wrongUse, what, advice);
}

function row(event: RecordedEvent): string[] {
  const { at, action, outcome, reason, actorType, actorId, targetType, targetId, clientAddress } = event;
  const named = (type: string | null, id: string | null) => (type ? `${type} ${id ?? ''}`.trimEnd() : '');
  return [
    at.toISOString(),
    action,
    outcome,
    reason ?? '',
    named(actorType, actorId),
    named(targetType, targetId),
    clientAddress ?? '',
  ];
}

/** An event as `--json` prints it; the names are those of the gRPC contract. */
function document(event: RecordedEvent): object {
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
