import { Rejected } from '../../domain/rejection.ts';

/** For a session that has ended, which this process may not know from the revocations yet, or that is not in the table. */
export function sessionEnded(): Rejected {
  const refusal = { reason: 'TOKEN_REVOKED', detail: 'the session of the token has ended; log in' } as const;
  return new Rejected({ kind: 'token-refused', refusal });
}
