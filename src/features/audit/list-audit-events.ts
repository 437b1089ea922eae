import type { CallBudget } from '../../domain/operation-call.ts';
import { auditActions, auditOutcomes } from '../../domain/audit-event.ts';
import { readClientName } from '../../net/certificate-identity.ts';
import {
  type FieldRule,
  type FieldRules,
  isUuid,
  oneOf,
  optional,
  requireValid,
  text,
} from '../../domain/validation.ts';
import { listPage, type Page, type PageCursors, type PageRequest } from '../../domain/paging.ts';
import { type AuditFilter, listAuditEvents as readAuditEvents, type RecordedEvent } from './audit-queries.ts';
import type { Database } from '../../database/database.ts';

/** What the events have in common; empty and undefined are "any". */
export interface AuditQuery {
  readonly actor: string;
  readonly target: string;
  readonly action: string;
  readonly outcome: string;
  readonly since: Date | undefined;
  readonly until: Date | undefined;
}

const YEAR_10000_MS = 253_402_300_800_000;

const idLength = text({ minBytes: 1, maxBytes: 256 });
/** Looks like an id of ours, but is not written as we write them: another case, cut short, one letter too many. */
const BROKEN_UUID = /^\{?[0-9a-f]{8}-[0-9a-f-]*\}?$/i;

/** Users and service accounts act under their ids, certificates under their names. */
const actor: FieldRule<string> = (value, field) =>
  isUuid(value) || (readClientName(value) === value && !BROKEN_UUID.test(value))
    ? []
    : [
        {
          field,
          description:
            'must be the id of a user or service account, a UUID in lower case with hyphens, or the identity of a client certificate',
        },
      ];

/** Of tokens and keys others may have chosen the id, so that only what is surely none is refused. */
const target: FieldRule<string> = (value, field) => {
  const description = value.includes('@')
    ? 'must be an id, because the audit trail contains no e-mails'
    : 'must be an id; write a UUID in lower case with hyphens';
  const isInvalidId = value.includes('@') || (BROKEN_UUID.test(value) && !isUuid(value));
  return isInvalidId ? [{ field, description }] : idLength(value, field);
};

const instant: FieldRule<Date | undefined> = (value, field) =>
  value === undefined || (value.getTime() >= 0 && value.getTime() < YEAR_10000_MS)
    ? []
    : [{ field, description: 'must be a time between the years 1970 and 9999' }];

const rules: FieldRules<AuditQuery> = {
  actor: optional(actor),
  target: optional(target),
  action: optional(oneOf(auditActions)),
  outcome: optional(oneOf(auditOutcomes)),
  since: instant,
  until: instant,
};

/**
 * One page of the audit trail, the newest first.
 *
 * @throws Rejected `field-invalid`, `store-unavailable`
 */
export async function listAuditEvents(
  { database, cursors }: { readonly database: Database; readonly cursors: PageCursors },
  query: AuditQuery & PageRequest,
  call: CallBudget,
): Promise<Page<RecordedEvent>> {
  const filter = auditFilter(query);
  return listPage(cursors, ['audit-events', filter], query, ({ afterId, limit }) =>
    database.run(call, (db) => readAuditEvents(db, filter, { beforeId: afterId, limit })),
  );
}

/** @throws Rejected `field-invalid` */
export function auditFilter({ actor, target, action, outcome, since, until }: AuditQuery): AuditFilter {
  requireValid(rules, { actor, target, action, outcome, since, until });
  const given = (value: string) => (value === '' ? null : value);
  return {
    actor: given(actor),
    target: given(target),
    action: given(action),
    outcome: given(outcome),
    since: since ?? null,
    until: until ?? null,
  };
}
