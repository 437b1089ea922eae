import type { Rejection } from '../../domain/rejection.ts';

type InvalidCredentials = Extract<Rejection, { kind: 'invalid-credentials' }>;
type LoginRateLimited = Extract<Rejection, { kind: 'login-rate-limited' }>;

/** What came of an attempt to log in: a refusal is a value, so that the throttle can count it before anybody hears of it. */
export type LoginVerdict<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: InvalidCredentials | LoginRateLimited };

/** The same for an attempt that was evaluated. */
export type EvaluatedLogin<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: InvalidCredentials };

/** @param userId the user's id as far as it is known for certain, for the audit trail */
export function invalidCredentials(
  cause: InvalidCredentials['cause'],
  userId: string | undefined,
  delayMs = 0,
): { readonly ok: false; readonly refusal: InvalidCredentials } {
  const subject = userId === undefined ? {} : ({ target: { type: 'user', id: userId } } as const);
  return { ok: false, refusal: { kind: 'invalid-credentials', cause, subject, delayMs } };
}
