import { argon2idHash, argon2idVerify, argon2idWork, isCurrentKind, loadArgon2 } from './argon2id.ts';
import { readStoredHash } from '../formats/format-table.ts';
import type { HashDamage } from '../formats/password-format.ts';
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
   * does not show which it was (L02). Another program may have hashed another Unicode form of the typed text, so an
   * imported hash is compared with each form; a hash of Postern's own is always one of NFC (L06).
   */
  #verify(request: VerifyRequest): Verdict {
    if (request.stored === null) return this.#verifyDummy(request, null);
    const stored = readStoredHash(request.stored);
    if (typeof stored === 'string') return this.#verifyDummy(request, stored);
    const isCurrent = isCurrentKind(request.stored);
    const passwords = isCurrent ? request.passwords.slice(0, 1) : request.passwords;
    const findMatch = () => passwords.findIndex((password) => stored.verify(password));
    try {
      // Not by the estimated work: other hashes with a work of 1 take another time.
      const at = isCurrent ? this.#timeFullHash(findMatch) : this.#padded(findMatch, request);
      const matches = at !== -1;
      return {
        matches,
        // The hash of another form than NFC is replaced even when it is strong, so that it is compared once from then on.
        needsRehash: matches && (stored.needsRehash || at > 0),
        compared: matches ? at + 1 : passwords.length,
        damage: null,
      };
    } catch {
      return this.#verifyDummy(request, 'damaged');
    }
  }

  /** Spends the time of one full hash on a verdict that never matches. */
  #verifyDummy(request: VerifyRequest, damage: HashDamage | null): Verdict {
    this.#timeFullHash(() => argon2idVerify(request.dummy, request.passwords[0]));
    return { matches: false, needsRehash: false, compared: 1, damage };
  }

  /**
   * Runs the verification of a hash of another cost and pads the time to that of a full hash: a quicker answer would show
   * that the user exists. The padding follows the clock, because the relative cost of other formats differs between
   * processors. A verification that took longer is not padded.
   */
  #padded<T>(verify: () => T, request: VerifyRequest): T {
    // The first job of a thread has no measurement of a full hash yet.
    if (this.#fullHashMs.value === undefined) this.#verifyDummy(request, null);
    const fullMs = this.#fullHashMs.value ?? 0;
    const startedMs = this.#nowMs();
    const result = verify();
    for (let round = 0; round < MAX_PADDING_ROUNDS; round++) {
      const missingFraction = 1 - (this.#nowMs() - startedMs) / fullMs;
      if (missingFraction < NEGLIGIBLE_FRACTION) break;
      argon2idWork(Math.min(0.5, PADDING_FRACTION * missingFraction));
    }
    return result;
  }

  #timeFullHash<T>(work: () => T): T {
    const startedMs = this.#nowMs();
    const result = work();
    this.#fullHashMs.add(this.#nowMs() - startedMs);
    return result;
  }
}
