/**
 * How many wrong passwords are taken. Counted twice: for an e-mail and a source together, where delays grow, so that one
 * guesser slows himself down and nobody else; and for the e-mail alone, where guesses from many sources add up.
 */
export interface LoginThrottlePolicy {
  /** `delaysSeconds[n - 1]` is the pause after the n-th failure in a row from one source; the last one holds for all further. */
  readonly delaysSeconds: readonly number[];
  /** After so long without an attempt a source begins anew. */
  readonly forgetAfterSeconds: number;
  /** Failures for one e-mail in one window, all sources together (NIST SP 800-63B section 3.2.2). */
  readonly maxPerAccount: number;
  readonly accountWindowSeconds: number;
  /**
   * Further failures that are free for a source where the right password was given before: attempts count while they are
   * evaluated, and one person's programs may log in many times at once.
   */
  readonly knownSourceAllowance: number;
  /** How long such a source is known, and exempt from what others do to the e-mail. */
  readonly knownSourceSeconds: number;
}

const HOUR = 3_600;
const DAY = 24 * HOUR;

/**
 * Five failures are free, then 5 s, doubling to an hour: a single source gets some forty guesses in a day, which is well
 * below the hundred that close an account's unknown sources until its window ends. Nothing lasts longer than a day.
 */
export const LOGIN_THROTTLE_POLICY: LoginThrottlePolicy = {
  delaysSeconds: [0, 0, 0, 0, ...Array.from({ length: 11 }, (_, step) => Math.min(5 * 2 ** step, HOUR))],
  forgetAfterSeconds: DAY,
  maxPerAccount: 100,
  accountWindowSeconds: DAY,
  knownSourceAllowance: 15,
  knownSourceSeconds: 30 * DAY,
};
