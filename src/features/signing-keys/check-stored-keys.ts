import { EnvelopeError, type MasterKey } from '../../crypto/sealed-envelope.ts';
import type { StoredSigningKey } from './signing-key-queries.ts';
import { kidOfPrivateKey } from '../../tokens/issue/signing-key.ts';
import {
  importVerificationKey,
  KeyRefused,
  type VerificationKey,
} from '../../tokens/verify/verification-key.ts';
import { openSigningKey } from './seal-signing-key.ts';

/** A row of a signing key that Postern did not write, or that was altered since; the message says which and why. */
export class StoredKeyRefused extends Error {
  constructor(kid: string, why: string, options?: ErrorOptions) {
    super(`the stored signing key ${kid} is not trusted: ${why}`, options);
    this.name = 'StoredKeyRefused';
  }
}

/** SHA-256 in base64url. Nothing else goes into a message: whoever can write to the database chose it. */
const KID = /^[\w-]{43}$/;

/**
 * Stands before every use of a stored key, to sign, to verify or to be published: whoever can write to the database, but
 * has no master key, must not make a key of his own one of ours (K06). What is trusted is the envelope alone. The public
 * half must be the one that belongs to the private half in it, under the kid and the algorithm that it was sealed for.
 *
 * @returns the public half
 * @throws StoredKeyRefused, and EnvelopeError when no given master key sealed the private half, or its row was altered
 */
export async function checkStoredKey(
  key: StoredSigningKey,
  masterKeys: readonly MasterKey[],
): Promise<VerificationKey> {
  if (!KID.test(key.kid))
    throw new StoredKeyRefused('whose kid is not a thumbprint', 'Postern did not create it');
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

/** A stored key that may be used. */
export interface CheckedKey {
  readonly stored: StoredSigningKey;
  readonly verificationKey: VerificationKey;
}

/** A stored key that may not. The fault is the same object for as long as the row is the same. */
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

/** Checks keys as often as they are read; a row that is as it was costs no decryption. */
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
      // Sealed anew with a master key that this process was not given. That the public half is ours it has seen before,
      // and nothing can undo that: it goes on with this key, and is left behind by the next one.
      const isResealed = error instanceof EnvelopeError && error.reason === 'other-master-key';
      if (cached && isSameKey && isResealed && 'verificationKey' in cached.verdict)
        return { publicHalf, sealed, verdict: cached.verdict };
      return { publicHalf, sealed, verdict: { fault: error } };
    }
  }
}
