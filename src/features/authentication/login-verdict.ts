import type { Rejection } from '../../domain/rejection.ts';

type InvalidCredentials = Extract<Rejection, { kind: 'invalid-credentials' }>;
type LoginRateLimited = Extract<Rejection, { kind: 'login-rate-limited' }>;
/** The password was right, and what was shown as second factor was not. It counts as a failed login. */
export type SecondFactorRefused = Extract<Rejection, { kind: 'second-factor-invalid' | 'passkey-invalid' }>;

/** Result of a login attempt. A refusal is a value, so that the throttle can count it before the caller is answered. */
export type LoginVerdict<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: InvalidCredentials | SecondFactorRefused | LoginRateLimited };

/** Result of an attempt that the throttle admitted. */
export type EvaluatedLogin<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: InvalidCredentials | SecondFactorRefused };

/** @param userId for the audit trail; undefined unless it is known for certain */
export function invalidCredentials(
  cause: InvalidCredentials['cause'],
  userId: string | undefined,
  delayMs = 0,
): { readonly ok: false; readonly refusal: InvalidCredentials } {
  const subject = userId === undefined ? {} : ({ target: { type: 'user', id: userId } } as const);
  return { ok: false, refusal: { kind: 'invalid-credentials', cause, subject, delayMs } };
}
