import { budgetOf, type OperationCall, ownOrigin } from '../../src/domain/operation-call.ts';

/** What an operation of a test's own is given: more time than it takes on a busy machine, and an origin. */
export function testCall(): OperationCall {
  return { ...budgetOf(60_000, Date.now()), origin: ownOrigin };
}
