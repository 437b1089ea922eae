import type { ClaimsProfile } from '../../domain/claims/claims.ts';
import type { TokenRefusal } from '../../domain/rejection.ts';
import type { TokenHeader, UnverifiedToken } from './token-format.ts';
import type { KeyRing } from './key-ring.ts';
import { refusals } from './token-refusals.ts';
import { isSigningAlgorithm } from '../signing-algorithm.ts';
import type { SignatureKey } from './verify-signature.ts';

/** The key for tokens that were issued before Postern. */
export interface LegacyHs256Key {
  readonly key: SignatureKey;
  /** Legacy tokens are accepted before this time (Unix time, ms). */
  readonly untilMs: number;
}

/** The keys of a verifier: published keys, optionally with the legacy HS256 key, or the shared secret of HS256 mode. */
export interface VerificationKeys {
  readonly ring: KeyRing;
  readonly sharedSecret: SignatureKey | null;
  readonly legacyHs256: LegacyHs256Key | null;
}

/** The only key that the signature is checked with, and the rules for the claims. */
export interface SelectedKey {
  readonly ok: true;
  readonly key: SignatureKey;
  readonly keyId: string | null;
  readonly signatureBytes: number;
  readonly profile: ClaimsProfile;
  /** From this time on (Unix time, ms) the key is not accepted; Infinity for all but the legacy key. */
  readonly refusedFromMs: number;
}

const HMAC_SHA256_BYTES = 32;
/** T12; RFC 9068 section 4 allows the full media type. */
export const ACCESS_TOKEN_TYPE = /^(?:application\/)?at\+jwt$/i;
export const SHARED_SECRET_TYPE = /^(?:application\/)?(?:at\+)?jwt$/i;

/**
 * Selects the key for a token, or refuses the token. The checks, in this order: alg is in the closed list (not none,
 * HS* or anything else), kid is published, alg is that of the key, typ is that of an access token. At most one key is
 * tried, and a token of another kind costs no signature check (T03-T05, T12).
 */
export function selectKey(
  { header }: Pick<UnverifiedToken, 'header'>,
  keys: VerificationKeys,
  nowMs: number,
): SelectedKey | { readonly ok: false; readonly refusal: TokenRefusal } {
  const { alg, kid, typ } = header;
  const { ring, sharedSecret, legacyHs256 } = keys;
  if (legacyHs256 !== null && alg === 'HS256') {
    const refusal =
      legacyHeaderFault(header, ring) ?? (nowMs < legacyHs256.untilMs ? null : refusals.legacyEnded);
    if (refusal !== null) return refuse(refusal);
    return hmacKey(legacyHs256.key, 'legacy', legacyHs256.untilMs);
  }
  if (sharedSecret !== null) {
    if (alg !== 'HS256') return refuse(refusals.algNotAllowed);
    if (kid !== undefined) return refuse(refusals.kidWithSharedSecret);
    if (typ === undefined || !SHARED_SECRET_TYPE.test(typ)) return refuse(refusals.sharedSecretType);
    return hmacKey(sharedSecret, 'shared-secret', Infinity);
  }
  if (!isSigningAlgorithm(alg)) return refuse(refusals.algNotAllowed);
  if (kid === undefined) return refuse(refusals.kidMissing);
  const key = ring.find(kid);
  if (key === undefined) return refuse(refusals.keyUnknown);
  if (key.algorithm !== alg) return refuse(refusals.algMismatch);
  if (typ === undefined || !ACCESS_TOKEN_TYPE.test(typ)) return refuse(refusals.typeInvalid);
  // Use the key's copy of the kid: a slice of the header would keep the whole header in memory with a cached token.
  const { kid: keyId, signatureBytes } = key;
  return { ok: true, key, keyId, signatureBytes, profile: 'access', refusedFromMs: Infinity };
}

/**
 * What is wrong with the HS256 header of a legacy token, or null. A `kid` is allowed and not looked up, since there is one
 * legacy key (Supabase writes one). A header of Postern's own tokens, with a published `kid` or the type `at+jwt`, is
 * refused for its algorithm: the published keys never verify HS256 (T03, T04).
 */
export function legacyHeaderFault({ kid, typ }: TokenHeader, ring: KeyRing | null): TokenRefusal | null {
  if (kid !== undefined && ring?.find(kid) !== undefined) return refusals.algMismatch;
  if (typ !== undefined && ACCESS_TOKEN_TYPE.test(typ)) return refusals.algNotAllowed;
  return typ === undefined || typ === 'JWT' ? null : refusals.legacyType;
}

function hmacKey(key: SignatureKey, profile: ClaimsProfile, refusedFromMs: number): SelectedKey {
  return { ok: true, key, keyId: null, signatureBytes: HMAC_SHA256_BYTES, profile, refusedFromMs };
}

function refuse(refusal: TokenRefusal): { readonly ok: false; readonly refusal: TokenRefusal } {
  return { ok: false, refusal };
}
