import type { AuditActor } from '../domain/audit-event.ts';
import { budgetOf } from '../domain/call-budget.ts';
import { type OperationCall, ownOrigin } from '../domain/call-origin.ts';

/** Whoever may run commands beside the database; the audit trail knows no more of that person. */
export const operator: AuditActor = { type: 'operator', id: null };

/** A command as an operation sees it. */
export function commandCall(limitMs: number): OperationCall {
  return { ...budgetOf(limitMs, Date.now()), origin: ownOrigin };
}
