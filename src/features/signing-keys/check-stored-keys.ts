import { EnvelopeError, type MasterKey } from '../../crypto/sealed-envelope.ts';
import type { StoredSigningKey } from './signing-key-queries.ts';
import { kidOfPrivateKey } from '../../tokens/issue/signing-key.ts';
import {
  importVerificationKey,
  KeyRefused,
  type VerificationKey,
} from '../../tokens/verify/verification-key.ts';
import { openSigningKey } from './seal-signing-key.ts';

/**
 * A signing key row that Postern did not write, or that was altered since. The message names the key and the reason.
 */
export class StoredKeyRefused extends Error {
  constructor(kid: string, reason: string, options?: ErrorOptions) {
    super(`the stored signing key ${kid} is not trusted: ${reason}`, options);
    this.name = 'StoredKeyRefused';
  }
}

/**
 * An RFC 7638 thumbprint: SHA-256 in base64url. A kid of another form is kept out of messages, because whoever can
 * write to the database chose it.
 */
const KID = /^[\w-]{43}$/;

/**
 * Checks a stored key before it signs, verifies or is published. An attacker who can write to the database but has no
 * master key must not be able to introduce a key (K06). Only the sealed envelope is trusted: the public half must
 * belong to the private half inside it, under the kid and the algorithm that it was sealed for.
 *
 * @returns the public half
 * @throws StoredKeyRefused when the public half does not match; EnvelopeError when none of the master keys sealed the
 *   private half, or its row was altered
 */
export async function checkStoredKey(
  key: StoredSigningKey,
  masterKeys: readonly MasterKey[],
): Promise<VerificationKey> {
  if (!KID.test(key.kid)) throw new StoredKeyRefused('with a malformed kid', 'Postern did not create it');
  const privatePkcs8 = openSigningKey(key, masterKeys);
  try {
    const verificationKey = await importVerificationKey(key.publicJwk);
    const isBound =
      verificationKey.kid === key.kid &&
      verificationKey.algorithm === key.algorithm &&
      (await kidOfPrivateKey(privatePkcs8)) === key.kid;
    if (isBound) return verificationKey;
  } catch (cause) {
    if (!(cause instanceof KeyRefused)) throw cause;
    throw new StoredKeyRefused(key.kid, cause.message, { cause });
  } finally {
    privatePkcs8.fill(0);
  }
  throw new StoredKeyRefused(key.kid, 'its public key does not match its private key');
}

/** A stored key that passed its check. */
export interface CheckedKey {
  readonly stored: StoredSigningKey;
  readonly verificationKey: VerificationKey;
}

/** A stored key that failed its check. `fault` is the same object for as long as the row is unchanged. */
interface RefusedKey {
  readonly stored: StoredSigningKey;
  readonly fault: Error;
}

export interface CheckedKeys {
  readonly trusted: readonly CheckedKey[];
  readonly refused: readonly RefusedKey[];
}

type Verdict = { readonly verificationKey: VerificationKey } | { readonly fault: Error };

interface CachedCheck {
  readonly publicHalf: string;
  readonly sealed: string;
  readonly verdict: Verdict;
}

/** Checks keys on every read. An unchanged row is answered from a cache, without decryption. */
export class StoredKeyChecker {
  readonly masterKeys: readonly MasterKey[];
  #cache = new Map<string, CachedCheck>();

  constructor(masterKeys: readonly MasterKey[]) {
    this.masterKeys = masterKeys;
  }

  async checkAll(keys: readonly StoredSigningKey[]): Promise<CheckedKeys> {
    const checked = await Promise.all(keys.map((key) => this.#check(key)));
    this.#cache = new Map(keys.map(({ kid }, index) => [kid, checked[index] as CachedCheck]));
    const verdicts = keys.map((stored, index) => ({
      stored,
      verdict: (checked[index] as CachedCheck).verdict,
    }));
    return {
      trusted: verdicts.flatMap(({ stored, verdict }) =>
        'verificationKey' in verdict ? [{ stored, verificationKey: verdict.verificationKey }] : [],
      ),
      refused: verdicts.flatMap(({ stored, verdict }) =>
        'fault' in verdict ? [{ stored, fault: verdict.fault }] : [],
      ),
    };
  }

  async #check(key: StoredSigningKey): Promise<CachedCheck> {
    const publicHalf = `${key.algorithm} ${JSON.stringify(key.publicJwk)}`;
    const sealed = Buffer.from(key.sealedPrivateKey ?? []).toString('base64');
    const cached = this.#cache.get(key.kid);
    const isSameKey = cached?.publicHalf === publicHalf;
    if (cached && isSameKey && cached.sealed === sealed) return cached;
    try {
      return { publicHalf, sealed, verdict: { verificationKey: await checkStoredKey(key, this.masterKeys) } };
    } catch (error) {
      if (!(error instanceof EnvelopeError || error instanceof StoredKeyRefused)) throw error;
      // Resealed with a master key that this process does not have. It has checked the public half before, and that
      // result still holds, so it continues to use this key. It cannot open any key that is created later.
      const isResealed = error instanceof EnvelopeError && error.reason === 'other-master-key';
      if (cached && isSameKey && isResealed && 'verificationKey' in cached.verdict)
        return { publicHalf, sealed, verdict: cached.verdict };
      return { publicHalf, sealed, verdict: { fault: error } };
    }
  }
}
