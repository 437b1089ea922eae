import type { ClaimsPolicy } from '../domain/claims.ts';
import type { TrustedKeys } from '../generated/postern/v1/trust.ts';
import { createKeyRing, type KeyRing } from '../tokens/verify/key-ring.ts';
import { importVerificationKey, KeyRefused } from '../tokens/verify/verification-key.ts';

/** Keys and rules that this verifier cannot work with; `message` says what to do. */
export class UnusableKeys extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UnusableKeys';
  }
}

/**
 * A key set and the rules for claims as the trust stream tells them, every key checked as if a stranger had sent it.
 *
 * @throws UnusableKeys when no key is left that verifies: HS256 mode, or a set of another kind
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
 * The usable keys of a JWKS (RFC 7517 section 5). Keys of other kinds are left out, as section 5 asks.
 *
 * @throws UnusableKeys when the text is no key set, or no key is left
 */
export async function readKeySet(json: string): Promise<KeyRing> {
  let members: unknown;
  try {
    members = (JSON.parse(json) as { keys?: unknown } | null)?.keys;
  } catch (cause) {
    throw new UnusableKeys('the key set is not JSON', { cause });
  }
  if (!Array.isArray(members)) throw new UnusableKeys('the key set has no list of keys');
  if (members.length === 0) {
    throw new UnusableKeys(
      'the service publishes no keys: it has none yet, or signs with a shared secret (POSTERN_ALGORITHM=HS256); ' +
        'only the service itself can verify HS256 tokens: call its VerifyToken, or let it sign with ES256',
    );
  }
  const read = await Promise.allSettled(members.map((member) => importVerificationKey(member)));
  const usable = read.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (usable.length > 0) return createKeyRing(usable);
  const [refused] = read.flatMap((result): unknown[] =>
    result.status === 'rejected' ? [result.reason] : [],
  );
  throw new UnusableKeys(refused instanceof KeyRefused ? refused.message : 'no key of the set is usable', {
    cause: refused,
  });
}
