/**
 * Limits for wrong passwords. Each failure is counted twice: for the pair of e-mail and source, with growing delays, so
 * that an attacker slows down only their own source; and for the e-mail alone, which adds up guesses from many sources.
 */
export interface LoginThrottlePolicy {
  /** `delaysSeconds[n - 1]` is the delay after the n-th consecutive failure of a source; the last entry repeats. */
  readonly delaysSeconds: readonly number[];
  /** A source starts again at zero failures after this time without an attempt. */
  readonly forgetAfterSeconds: number;
  /** Failures for one e-mail per window, over all sources (NIST SP 800-63B section 3.2.2). */
  readonly maxPerAccount: number;
  readonly accountWindowSeconds: number;
  /**
   * Additional free failures for a known source, from which the right password came before: attempts count while they are
   * evaluated, and several programs of one user may log in concurrently.
   */
  readonly knownSourceAllowance: number;
  /** How long a source stays known; meanwhile `maxPerAccount` does not apply to it, so attackers cannot lock it out. */
  readonly knownSourceSeconds: number;
}

const HOUR = 3_600;
const DAY = 24 * HOUR;

/**
 * The fifth failure is followed by a delay of 5 s, which doubles up to an hour. So one source gets about forty guesses a
 * day, well below the hundred after which all unknown sources of the e-mail are refused until its window ends. No delay
 * lasts longer than a day.
 */
export const LOGIN_THROTTLE_POLICY: LoginThrottlePolicy = {
  delaysSeconds: [0, 0, 0, 0, ...Array.from({ length: 11 }, (_, step) => Math.min(5 * 2 ** step, HOUR))],
  forgetAfterSeconds: DAY,
  maxPerAccount: 100,
  accountWindowSeconds: DAY,
  knownSourceAllowance: 15,
  knownSourceSeconds: 30 * DAY,
};
