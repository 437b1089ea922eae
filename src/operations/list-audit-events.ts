import type { CallBudget } from '../domain/call-budget.ts';
import { type FieldRule, type FieldRules, optional, requireValid, text } from '../domain/field-rules.ts';
import type { PageCursors } from '../domain/page-cursor.ts';
import {
  type AuditFilter,
  listAuditEvents as readAuditEvents,
  type RecordedEvent,
} from '../store/audit-events.ts';
import type { Database } from '../store/database.ts';
import { listPage, type Page, type PageRequest } from './list-page.ts';

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

const id = optional(text({ minBytes: 1, maxBytes: 256 }));
const point: FieldRule<Date | undefined> = (value, field) =>
  value === undefined || (value.getTime() >= 0 && value.getTime() < YEAR_10000_MS)
    ? []
    : [{ field, description: 'must be a time from the year 1970 to the year 9999' }];

const rules: FieldRules<AuditQuery> = {
  actor: id,
  target: id,
  action: optional(
    text({
      minBytes: 1,
      maxBytes: 64,
      form: { pattern: /^[a-z.]+$/, says: 'an action, such as user.update' },
    }),
  ),
  outcome: optional(
    text({ minBytes: 1, maxBytes: 16, form: { pattern: /^(ok|refused)$/, says: "'ok' or 'refused'" } }),
  ),
  since: point,
  until: point,
};

/**
 * One page of the audit trail, the newest first.
 *
 * @throws Rejected `field-invalid`, `store-unavailable`
 */
export async function listAuditEvents(
  { database, cursors }: { readonly database: Database; readonly cursors: PageCursors },
  query: AuditQuery,
  page: PageRequest,
  budget: CallBudget,
): Promise<Page<RecordedEvent>> {
  const filter = auditFilter(query);
  return listPage(cursors, ['audit-events', filter], page, ({ afterId, limit }) =>
    database.run(budget, (db) => readAuditEvents(db, filter, { beforeId: afterId, limit })),
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
