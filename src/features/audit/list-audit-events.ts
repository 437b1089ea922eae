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

/** The filter of a list request. An empty string or undefined matches any event. */
export interface AuditQuery {
  readonly actor: string;
  readonly target: string;
  readonly action: string;
  readonly outcome: string;
  readonly since: Date | undefined;
  readonly until: Date | undefined;
}

/** The start of the year 10000 UTC, Unix time, ms. */
const YEAR_10000_MS = 253_402_300_800_000;

const idLength = text({ minBytes: 1, maxBytes: 256 });
/**
 * Matches text that resembles a UUID. When such text is not a canonical UUID (upper case, truncated, a character too
 * many), it is most likely a mistyped id.
 */
const UUID_LIKE = /^\{?[0-9a-f]{8}-[0-9a-f-]*\}?$/i;

/** Whoever ran a command is recorded as `HOST/USER`. */
const OPERATOR_NAME = /^[\w.-]{1,128}\/[^\s@/\p{C}]{1,140}$/u;

/**
 * Actors that are users or service accounts are recorded by id, client certificates by their identity, operators by machine
 * and user.
 */
const actor: FieldRule<string> = (value, field) =>
  isUuid(value) || OPERATOR_NAME.test(value) || (readClientName(value) === value && !UUID_LIKE.test(value))
    ? []
    : [
        {
          field,
          description:
            'must be the id of a user or service account, a UUID in lower case with hyphens, the identity of a client certificate, or HOST/USER for an operator',
        },
      ];

/**
 * Ids of tokens and keys may come from elsewhere and have any form, so only values that cannot be an id are refused.
 */
const target: FieldRule<string> = (value, field) => {
  const description = value.includes('@')
    ? 'must be an id, because the audit trail contains no e-mails'
    : 'must be an id; write a UUID in lower case with hyphens';
  const isInvalidId = value.includes('@') || (UUID_LIKE.test(value) && !isUuid(value));
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
 * Returns one page of the audit trail, newest first.
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

/**
 * Checks a query and turns it into the filter of the database query.
 *
 * @throws Rejected `field-invalid`
 */
export function auditFilter({ actor, target, action, outcome, since, until }: AuditQuery): AuditFilter {
  requireValid(rules, { actor, target, action, outcome, since, until });
  const nullIfEmpty = (value: string) => (value === '' ? null : value);
  return {
    actor: nullIfEmpty(actor),
    target: nullIfEmpty(target),
    action: nullIfEmpty(action),
    outcome: nullIfEmpty(outcome),
    since: since ?? null,
    until: until ?? null,
  };
}
