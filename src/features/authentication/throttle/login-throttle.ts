import { createHmac } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { budgetOf, type OperationCall, withoutCancellation } from '../../../domain/operation-call.ts';
import type { Email } from '../../users/email.ts';
import { LOGIN_THROTTLE_POLICY } from './throttle-policy.ts';
import { sourceOf } from '../../../net/cidr.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { cancellationOf } from '../../../passwords/hashing/call-deadline.ts';
import type { Database, Transaction } from '../../../database/database.ts';
import type { ForgivenAttempt } from '../../sessions/open-session-queries.ts';
import type { LoginRecord } from '../../users/user-queries.ts';
import { type AttemptKeys, beginLogin, deleteAttempts, releaseAttempt } from './throttle-queries.ts';
import type { EvaluatedLogin, LoginVerdict } from '../login-verdict.ts';
import type { ConcurrencyLimit } from '../../../domain/concurrency/concurrency-limit.ts';
import { KeyedLimiter } from '../../../domain/concurrency/keyed-limiter.ts';

const RELEASE_LIMIT_MS = 1_000;
/**
 * Limits of concurrent logins for one e-mail from one source. `concurrency` is below the number of free failures: each
 * login counts as a failure while it runs, and legitimate logins must not throttle each other.
 */
const ATTEMPT_LIMITS = { concurrency: 3, maxWaiting: 200, maxWaitMs: 4_000 };

/** What the throttle counts an attempt by. `address` is null for loopback, unix sockets and commands. */
interface LoginAttempt {
  readonly email: Email;
  readonly address: string | null;
}

/** An attempt that the throttle admitted. It counts as a failure until the session that it opens forgives it. */
export interface AdmittedAttempt {
  /** The user with this e-mail; null when there is none. */
  readonly user: LoginRecord | null;
  /** For the statement that opens the session. */
  readonly forgiven: ForgivenAttempt;
}

interface HashedKeys extends AttemptKeys {
  readonly pair: Buffer;
  readonly account: Buffer;
}

/** Limits wrong passwords by e-mail and source address. Unknown e-mails are treated the same as those of users (L10). */
export class LoginThrottle {
  readonly #database: Database;
  readonly #key: () => Uint8Array;
  readonly #logins: ConcurrencyLimit;
  readonly #limiter = new KeyedLimiter(ATTEMPT_LIMITS);

  /**
   * @param key 32 bytes, the same in every instance, for the keyed hashes by which attempts are counted (O05)
   * @param logins how many passwords may be evaluated at the same time. An attempt that waits for others of its e-mail and
   *   source is not among them: otherwise one source could take the places of all others with calls that it abandons.
   */
  constructor(database: Database, key: () => Uint8Array, logins: ConcurrencyLimit) {
    this.#database = database;
    this.#key = key;
    this.#logins = logins;
  }

  /**
   * Evaluates a password unless too many wrong ones came before. A wrong password counts even when its caller has
   * cancelled (L09).
   *
   * @param evaluate returns a refusal as soon as the password is known to be wrong, even when the caller has cancelled.
   *   When it throws, the password was not found to be wrong, and the attempt does not count. When it succeeds, it has
   *   opened a session that forgives the attempt.
   * @returns the result of `evaluate`, or `login-rate-limited`. Refusals carry a keyed hash of the e-mail for the log and
   *   the audit trail.
   * @throws Rejected `cancelled`, `deadline-exceeded`, `store-unavailable`, `server-overloaded`, and any error of `evaluate`
   */
  async guard<T>(
    attempt: LoginAttempt,
    call: OperationCall,
    evaluate: (admitted: AdmittedAttempt) => Promise<EvaluatedLogin<T>>,
  ): Promise<LoginVerdict<T>> {
    const keys = this.#keysOf(attempt);
    const keyed = { ...keys, email: attempt.email };
    return new Promise((resolve, reject) => {
      const work = async () => {
        const result = this.#logins.run(() => this.#runThrottled(keyed, call, evaluate), call);
        result.then(resolve, reject);
        const delayMs = await result.then(delayMsOf, () => 0);
        // The slot stays occupied for the refusal delay: otherwise the next call in the queue could measure how long
        // this one's hash took (L02).
        if (delayMs > 0) await pause(delayMs, undefined, { ref: false });
      };
      const onRefused = async (error: Error) => {
        await this.#logins.paceRefusal(call);
        reject(error);
      };
      this.#limiter.run(keys.pair.toString('base64'), work).catch(onRefused);
    });
  }

  async #runThrottled<T>(
    keys: HashedKeys & { readonly email: Email },
    call: OperationCall,
    evaluate: (admitted: AdmittedAttempt) => Promise<EvaluatedLogin<T>>,
  ): Promise<LoginVerdict<T>> {
    const cancellation = cancellationOf(call, Date.now());
    if (cancellation !== undefined) throw new Rejected(cancellation);
    const auditFields = { account: keys.account.toString('hex', 0, 8), origin: call.origin };
    // Without cancellation: a caller that cancels now could otherwise cause a counted failure that is not audited.
    const begun = await this.#database.run(withoutCancellation(call), (db) =>
      beginLogin(db, keys, LOGIN_THROTTLE_POLICY),
    );
    if (!begun.admitted) {
      return {
        ok: false,
        refusal: { kind: 'login-rate-limited', ...auditFields, retryAfterMs: begun.waitMs },
      };
    }
    const { pair, account } = keys;
    const { knownSourceSeconds } = LOGIN_THROTTLE_POLICY;
    let verdict: EvaluatedLogin<T>;
    try {
      verdict = await evaluate({ user: begun.user, forgiven: { pair, account, knownSourceSeconds } });
    } catch (error) {
      // Not awaited: the answer neither waits for this statement nor fails with it.
      void this.#release(keys);
      throw error;
    }
    return verdict.ok ? verdict : { ok: false, refusal: { ...verdict.refusal, ...auditFields } };
  }

  /**
   * Deletes the counters of an e-mail and of its pair with the source, within the transaction in which the user has
   * proven to own the account. Delays of other sources stay.
   */
  async forget(trx: Transaction, attempt: LoginAttempt): Promise<void> {
    await deleteAttempts(trx, this.#keysOf(attempt));
  }

  async #release(keys: AttemptKeys): Promise<void> {
    try {
      await this.#database.run(budgetOf(RELEASE_LIMIT_MS, Date.now()), (db) => releaseAttempt(db, keys));
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
    }
  }

  #keysOf({ email, address }: LoginAttempt): HashedKeys {
    const hash = (text: string) => createHmac('sha256', this.#key()).update(text).digest();
    return { account: hash(`account\n${email}`), pair: hash(`pair\n${email}\n${sourceOf(address)}`) };
  }
}

/** The refusal delay of a verdict, ms. */
function delayMsOf(verdict: LoginVerdict<unknown>): number {
  return verdict.ok ? 0 : (verdict.refusal.delayMs ?? 0);
}
