// What the session of a page does, decided without a browser.

/** Who is logged in, by the claims of the access token. The service judges the token; the page only shows them. */
export interface LoggedIn {
  readonly userId: string;
  readonly sessionId: string;
  readonly roles: readonly string[];
  /** `aal1` or `aal2`. */
  readonly acr: string;
}

interface Claims {
  readonly sub?: string;
  readonly sid?: string;
  readonly roles?: readonly string[];
  readonly acr?: string;
}

/** The claims of an access token, which the service has just issued. */
export function claimsOf(token: string): LoggedIn {
  const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  const { sub = '', sid = '', roles = [], acr = '' } = JSON.parse(new TextDecoder().decode(bytes)) as Claims;
  return { userId: sub, sessionId: sid, roles, acr };
}

/** Renews at this part of the lifetime of the access token. */
const RENEW_AT = 0.75;
/** The longest time of a timer; a longer one would run out at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** When to renew an access token. By its duration and not by the time of its end: the clock of the computer may be wrong. */
export function renewalDelayMs(expiresInSeconds: number): number {
  return Math.min(expiresInSeconds * 1000 * RENEW_AT, MAX_TIMER_MS);
}

/**
 * What is said of a session whose renewal was refused; null where the session may still live, and the renewal is tried again.
 *
 * @param wasLoggedIn whether the page showed the session; otherwise most refusals only mean that nobody is logged in
 */
export function farewellOf(reason: string, wasLoggedIn: boolean): string | null {
  switch (reason) {
    case 'REFRESH_TOKEN_EXPIRED':
      return 'Your session has expired. Log in again.';
    case 'REFRESH_TOKEN_REUSED':
      return 'Your session was ended, because its refresh token was used twice. Somebody may have copied it. Log in again.';
    case 'REFRESH_TOKEN_REVOKED':
      return 'Your session was ended: by a logout elsewhere, by an administrator, or by a change of your password or second factors. Log in again.';
    case 'REFRESH_TOKEN_INVALID':
      return wasLoggedIn ? 'Your session has ended. Log in again.' : '';
    default:
      return null;
  }
}

/** What makes a refused call succeed: a new access token, or a fresh proof of who the user is. */
export type Remedy = 'renew' | 'prove';

/** Reasons for which a new access token helps, if the session still lives. */
const RENEWABLE = new Set(['TOKEN_EXPIRED', 'TOKEN_REVOKED', 'TOKEN_KEY_UNKNOWN', 'CREDENTIALS_MISSING']);

/** What to try after a refusal. Nothing is tried twice, so that a call ends whatever the service answers. */
export function remedyFor(reason: string, tried: ReadonlySet<Remedy>): Remedy | null {
  const remedy = RENEWABLE.has(reason) ? 'renew' : reason === 'STEP_UP_REQUIRED' ? 'prove' : null;
  return remedy === null || tried.has(remedy) ? null : remedy;
}

/** What the regular question has found out, whether the access token is still accepted. */
export type Check = 'accepted' | 'refused' | 'unanswered';

/** What was answered to the question. @param reason null without a refusal */
export function checkOf(reason: string | null): Check {
  if (reason === null) return 'accepted';
  return reason.startsWith('TOKEN_') ? 'refused' : 'unanswered';
}

/** How many refusals in a row pass before a token is renewed again that was refused although it was new. */
const PAUSE_AFTER_RENEWAL = 12;

/**
 * Whether to renew a refused token. Normally it is the first refusal. Where the service refuses new tokens as well (an instance
 * without the key, a clock that is wrong), a renewal at each check would only use up refresh tokens.
 *
 * @param refusals how many checks in a row were refused, this one included
 */
export function isRenewedAfter(refusals: number): boolean {
  return refusals % PAUSE_AFTER_RENEWAL === 1;
}
