import type { ClaimsPolicy } from '../domain/claims/claims.ts';
import type { TrustedKeys } from '../generated/postern/v1/trust.ts';
import { createKeyRing, type KeyRing } from '../tokens/verify/key-ring.ts';
import { importVerificationKey, KeyRefused } from '../tokens/verify/verification-key.ts';

/** A key set that this verifier cannot use; `message` says what to do. */
export class UnusableKeys extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UnusableKeys';
  }
}

/**
 * Reads the key set and the claim rules of the trust stream. Each key is checked as untrusted input.
 *
 * @throws UnusableKeys when no key can be used, as in HS256 mode
 */
export async function readTrustedKeys(keys: TrustedKeys): Promise<{ ring: KeyRing; policy: ClaimsPolicy }> {
  const policy: ClaimsPolicy = {
    issuer: keys.issuer,
    audiences: keys.audiences,
    maxLifetimeSeconds: keys.maxLifetime,
    skewSeconds: keys.clockSkew,
  };
  return { ring: await readKeySet(keys.jwks), policy };
}

/**
 * The usable keys of a JWKS. Keys that are not understood are ignored (RFC 7517 section 5).
 *
 * @throws UnusableKeys when the text is not a key set, or no key can be used
 */
export async function readKeySet(json: string): Promise<KeyRing> {
  let members: unknown;
  try {
    members = (JSON.parse(json) as { keys?: unknown } | null)?.keys;
  } catch (cause) {
    throw new UnusableKeys('the key set is not JSON', { cause });
  }
  if (!Array.isArray(members)) throw new UnusableKeys("the key set has no array 'keys'");
  if (members.length === 0) {
    throw new UnusableKeys(
      'the service publishes no keys: it has none yet, or signs with a shared secret (POSTERN_ALGORITHM=HS256). ' +
        'Only the service itself can verify HS256 tokens: call its VerifyToken, or set POSTERN_ALGORITHM=ES256',
    );
  }
  const read = await Promise.allSettled(members.map((member) => importVerificationKey(member)));
  const usable = read.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (usable.length > 0) return createKeyRing(usable);
  const [refused] = read.flatMap((result): unknown[] =>
    result.status === 'rejected' ? [result.reason] : [],
  );
  throw new UnusableKeys(refused instanceof KeyRefused ? refused.message : 'the key set has no usable key', {
    cause: refused,
  });
}
