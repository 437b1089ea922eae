import type { AuditActor } from '../domain/audit-event.ts';
import { budgetOf, type OperationCall, ownOrigin } from '../domain/operation-call.ts';
import type { Command } from 'commander';

/** Whoever may run commands beside the database; the audit trail knows no more of that person. */
export const operator: AuditActor = { type: 'operator', id: null };

/** A command as an operation sees it. */
export function commandCall(limitMs: number): OperationCall {
  return { ...budgetOf(limitMs, Date.now()), origin: ownOrigin };
}

/** Gives a command its arguments, options and action. The action returns when the work is done, or throws. */
export type CommandDefinition = (command: Command) => void;
