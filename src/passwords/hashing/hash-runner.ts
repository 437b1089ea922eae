import { argon2idHash, argon2idVerify, argon2idWork, loadArgon2 } from './argon2id.ts';
import { readStoredHash } from '../formats/format-table.ts';
import type { HashDamage, StoredHash } from '../formats/password-format.ts';
import type { HashResponse, HashRequest } from './hash-messages.ts';
import { RecentMedian } from './statistics.ts';

type VerifyRequest = HashRequest & { readonly kind: 'verify' };
type Verdict = Omit<HashResponse & { readonly kind: 'verified' }, 'kind' | 'workMs'>;

/**
 * How the verification of a weaker hash is padded: each round fills 80 % of the missing time, because the memory cost
 * weighs more on short work, until less than 3 % is missing. Measured on seven weaker hashes: medians within 1.5 % of
 * a full hash, and a classifier that tells the two apart by time reaches an AUC of at most 0.55.
 */
const PADDING_FRACTION = 0.8;
const NEGLIGIBLE_FRACTION = 0.03;
const MAX_PADDING_ROUNDS = 4;

/** Runs the jobs of one hashing thread, one at a time. */
export class HashRunner {
  readonly #nowMs: () => number;
  /** Milliseconds that one hash with current parameters takes in this thread. */
  readonly #fullHashMs = new RecentMedian(32);

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    // Load it now: the loading time must not count as work of the first job.
    loadArgon2();
  }

  /** Throws only when a new hash cannot be computed; a verification always returns a verdict. */
  run(request: HashRequest): HashResponse {
    const startedMs = this.#nowMs();
    if (request.kind === 'hash') {
      const phc = this.#timeFullHash(() => argon2idHash(request.password));
      return { kind: 'hashed', workMs: this.#nowMs() - startedMs, phc };
    }
    const verdict = this.#verify(request);
    return { kind: 'verified', workMs: this.#nowMs() - startedMs, ...verdict };
  }

  /**
   * An unknown user, a malformed stored hash and a wrong password each cost at least one full hash, so that the time
   * does not show which it was (L02).
   */
  #verify(request: VerifyRequest): Verdict {
    const stored = request.stored === null ? null : readStoredHash(request.stored);
    if (stored === null || typeof stored === 'string') return this.#verifyDummy(request, stored);
    try {
      const matches =
        stored.work === 1
          ? this.#timeFullHash(() => stored.verify(request.password))
          : this.#verifyPadded(stored, request);
      return { matches, needsRehash: matches && stored.needsRehash, damage: null };
    } catch {
      return this.#verifyDummy(request, 'damaged');
    }
  }

  /** Spends the time of one full hash on a verdict that never matches. */
  #verifyDummy(request: VerifyRequest, damage: HashDamage | null): Verdict {
    this.#timeFullHash(() => argon2idVerify(request.dummy, request.password));
    return { matches: false, needsRehash: false, damage };
  }

  /**
   * Verifies a hash of another cost and pads the time to that of a full hash: a quicker answer would show that the user
   * exists. The padding follows the clock, because the relative cost of other formats differs between processors. A
   * verification that took longer is not padded.
   */
  #verifyPadded(stored: StoredHash, request: VerifyRequest): boolean {
    // The first job of a thread has no measurement of a full hash yet.
    if (this.#fullHashMs.value === undefined) this.#verifyDummy(request, null);
    const fullMs = this.#fullHashMs.value ?? 0;
    const startedMs = this.#nowMs();
    const matches = stored.verify(request.password);
    for (let round = 0; round < MAX_PADDING_ROUNDS; round++) {
      const missingFraction = 1 - (this.#nowMs() - startedMs) / fullMs;
      if (missingFraction < NEGLIGIBLE_FRACTION) break;
      argon2idWork(Math.min(0.5, PADDING_FRACTION * missingFraction));
    }
    return matches;
  }

  #timeFullHash<T>(work: () => T): T {
    const startedMs = this.#nowMs();
    const result = work();
    this.#fullHashMs.add(this.#nowMs() - startedMs);
    return result;
  }
}
