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
import { KeyedLimiter } from '../../../domain/keyed-limiter.ts';

const RELEASE_LIMIT_MS = 1_000;
/**
 * Logins of one e-mail from one source that are evaluated at once: fewer than the failures that are free, since each
 * counts as one while it runs, and honest ones must not throttle each other.
 */
const ATTEMPT_LIMITS = { concurrency: 3, maxWaiting: 200, maxWaitMs: 4_000 };

interface HashedKeys extends AttemptKeys {
  readonly pair: Buffer;
  readonly account: Buffer;
}

/**
 * Stands before every check of a password. Whether the e-mail belongs to anybody makes no difference (L10).
 */
export class LoginThrottle {
  readonly #database: Database;
  readonly #key: () => Uint8Array;
  readonly #limiter = new KeyedLimiter(ATTEMPT_LIMITS);

  /** @param key 32 bytes that are the same in every instance, for the hashes under which attempts are counted (O05) */
  constructor(database: Database, key: () => Uint8Array) {
    this.#database = database;
    this.#key = key;
  }

  /**
   * Evaluates a password unless too many wrong ones came before. A wrong one counts although its caller has left: what is
   * known by then is not taken back (L09).
   *
   * @param evaluate gives a refusal once the password is known to be wrong, at once and whether or not anybody still
   *   waits; whatever it throws means that nothing wrong was found out, and does not count
   * @returns what `evaluate` gave, or `login-rate-limited`; both refusals tell the log and the audit trail which account
   *   it was, by a keyed hash
   * @throws Rejected `cancelled`, `deadline-exceeded`, `store-unavailable`, `server-overloaded`, and what `evaluate` throws
   */
  async guard<T>(
    subject: { email: Email; address: string | null },
    call: OperationCall,
    evaluate: () => Promise<EvaluatedLogin<T>>,
  ): Promise<LoginVerdict<T>> {
    const keys = this.#keysOf(subject);
    return new Promise((resolve, reject) => {
      const work = async () => {
        const attempt = this.#runThrottled(keys, call, evaluate);
        attempt.then(resolve, reject);
        const holdMs = await attempt.then(holdMsOf, () => 0);
        // Whoever is next in line would tell by its own time how long this one's hash took (L02).
        if (holdMs > 0) await pause(holdMs, undefined, { ref: false });
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
    const attempt = { account: keys.account.toString('hex', 0, 8), origin: call.origin };
    // Or whoever leaves at this moment would have a failure counted against somebody's e-mail without a trace.
    const waitMs = await this.#database.run(withoutCancellation(call), (db) =>
      reserveAttempt(db, keys, LOGIN_THROTTLE_POLICY),
    );
    if (waitMs !== null) {
      return { ok: false, refusal: { kind: 'login-rate-limited', ...attempt, retryAfterMs: waitMs } };
    }
    let verdict: EvaluatedLogin<T>;
    try {
      verdict = await evaluate();
    } catch (error) {
      void this.#tryRun((db) => releaseAttempt(db, keys));
      throw error;
    }
    if (!verdict.ok) return { ok: false, refusal: { ...verdict.refusal, ...attempt } };
    // Whoever gave the right password is not kept waiting for, nor refused because of, this note.
    void this.#tryRun((db) => forgiveAttempt(db, keys, LOGIN_THROTTLE_POLICY));
    return verdict;
  }

  /**
   * Lets a user begin anew who has proven by other means to be the owner, inside the transaction of that proof. What
   * other sources have to wait is left as it is.
   */
  async forget(trx: Transaction, subject: { email: Email; address: string | null }): Promise<void> {
    await deleteAttempts(trx, this.#keysOf(subject));
  }

  async #tryRun(work: Parameters<Database['run']>[1]): Promise<void> {
    try {
      await this.#database.run(budgetOf(RELEASE_LIMIT_MS, Date.now()), work);
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
    }
  }

  #keysOf({ email, address }: { email: Email; address: string | null }): HashedKeys {
    const hash = (text: string) => createHmac('sha256', this.#key()).update(text).digest();
    return { account: hash(`account\n${email}`), pair: hash(`pair\n${email}\n${sourceOf(address)}`) };
  }
}

/** For how long a refusal holds its answer back, ms. */
function holdMsOf(verdict: LoginVerdict<unknown>): number {
  return verdict.ok ? 0 : (verdict.refusal.delayMs ?? 0);
}
