import { budgetOf, type OperationCall, ownOrigin } from '../../src/domain/operation-call.ts';

/** The call context of an operation made by a test: a deadline that a busy machine meets, and an origin. */
export function testCall(): OperationCall {
  return { ...budgetOf(60_000, Date.now()), origin: ownOrigin };
}
