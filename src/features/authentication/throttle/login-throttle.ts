import { createHmac } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { budgetOf, type OperationCall, withoutCancellation } from '../../../domain/operation-call.ts';
import type { Email } from '../../users/email.ts';
import { LOGIN_THROTTLE_POLICY } from './throttle-policy.ts';
import { sourceOf } from '../../../net/cidr.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { cancellationOf } from '../../../passwords/hashing/call-deadline.ts';
import type { Database, Transaction } from '../../../database/database.ts';
import {
  type AttemptKeys,
  deleteAttempts,
  forgiveAttempt,
  releaseAttempt,
  reserveAttempt,
} from './throttle-queries.ts';
import type { EvaluatedLogin, LoginVerdict } from '../login-verdict.ts';
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

interface HashedKeys extends AttemptKeys {
  readonly pair: Buffer;
  readonly account: Buffer;
}

/** Limits wrong passwords by e-mail and source address. Unknown e-mails are treated the same as those of users (L10). */
export class LoginThrottle {
  readonly #database: Database;
  readonly #key: () => Uint8Array;
  readonly #limiter = new KeyedLimiter(ATTEMPT_LIMITS);

  /** @param key 32 bytes, the same in every instance, for the keyed hashes by which attempts are counted (O05) */
  constructor(database: Database, key: () => Uint8Array) {
    this.#database = database;
    this.#key = key;
  }

  /**
   * Evaluates a password unless too many wrong ones came before. A wrong password counts even when its caller has
   * cancelled (L09).
   *
   * @param evaluate returns a refusal as soon as the password is known to be wrong, even when the caller has cancelled.
   *   When it throws, the password was not found to be wrong, and the attempt does not count.
   * @returns the result of `evaluate`, or `login-rate-limited`. Refusals carry a keyed hash of the e-mail for the log and
   *   the audit trail.
   * @throws Rejected `cancelled`, `deadline-exceeded`, `store-unavailable`, `server-overloaded`, and any error of `evaluate`
   */
  async guard<T>(
    attempt: LoginAttempt,
    call: OperationCall,
    evaluate: () => Promise<EvaluatedLogin<T>>,
  ): Promise<LoginVerdict<T>> {
    const keys = this.#keysOf(attempt);
    return new Promise((resolve, reject) => {
      const work = async () => {
        const result = this.#runThrottled(keys, call, evaluate);
        result.then(resolve, reject);
        const delayMs = await result.then(delayMsOf, () => 0);
        // The slot stays occupied for the refusal delay: otherwise the next call in the queue could measure how long
        // this one's hash took (L02).
        if (delayMs > 0) await pause(delayMs, undefined, { ref: false });
      };
      this.#limiter.run(keys.pair.toString('base64'), work).catch(reject);
    });
  }

  async #runThrottled<T>(
    keys: HashedKeys,
    call: OperationCall,
    evaluate: () => Promise<EvaluatedLogin<T>>,
  ): Promise<LoginVerdict<T>> {
    const cancellation = cancellationOf(call, Date.now());
    if (cancellation !== undefined) throw new Rejected(cancellation);
    const auditFields = { account: keys.account.toString('hex', 0, 8), origin: call.origin };
    // Without cancellation: a caller that cancels now could otherwise cause a counted failure that is not audited.
    const waitMs = await this.#database.run(withoutCancellation(call), (db) =>
      reserveAttempt(db, keys, LOGIN_THROTTLE_POLICY),
    );
    if (waitMs !== null) {
      return { ok: false, refusal: { kind: 'login-rate-limited', ...auditFields, retryAfterMs: waitMs } };
    }
    let verdict: EvaluatedLogin<T>;
    try {
      verdict = await evaluate();
    } catch (error) {
      void this.#tryRun((db) => releaseAttempt(db, keys));
      throw error;
    }
    if (!verdict.ok) return { ok: false, refusal: { ...verdict.refusal, ...auditFields } };
    // Not awaited: a login with the right password neither waits for this statement nor fails with it.
    void this.#tryRun((db) => forgiveAttempt(db, keys, LOGIN_THROTTLE_POLICY));
    return verdict;
  }

  /**
   * Deletes the counters of an e-mail and of its pair with the source, within the transaction in which the user has
   * proven to own the account. Delays of other sources stay.
   */
  async forget(trx: Transaction, attempt: LoginAttempt): Promise<void> {
    await deleteAttempts(trx, this.#keysOf(attempt));
  }

  async #tryRun(work: Parameters<Database['run']>[1]): Promise<void> {
    try {
      await this.#database.run(budgetOf(RELEASE_LIMIT_MS, Date.now()), work);
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
