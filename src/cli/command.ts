import type { AuditActor } from '../domain/audit-event.ts';
import { budgetOf, type OperationCall, ownOrigin } from '../domain/operation-call.ts';
import { operatorName } from './operator-name.ts';
import type { Command } from 'commander';

/** The actor that the audit trail records for a command: the user and the machine that ran it. */
export const operator: AuditActor = { type: 'operator', id: operatorName() };

/** The operation call of a command: a time limit, and no caller on the network. */
export function commandCall(limitMs: number): OperationCall {
  return { ...budgetOf(limitMs, Date.now()), origin: ownOrigin };
}

/** Adds arguments, options and an action to a command. The action returns when the work is done, or throws. */
export type CommandDefinition = (command: Command) => void;

/** Parses an option that may be given several times, such as `--role`. */
export function collectOption(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}
