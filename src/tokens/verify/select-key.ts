import type { ClaimsProfile, UncheckedClaims } from '../../domain/claims.ts';
import type { TokenRefusal } from '../../domain/rejection.ts';
import type { TokenHeader, UnverifiedToken } from './token-format.ts';
import type { KeyRing } from './key-ring.ts';
import { refusals } from './token-refusals.ts';
import { isSigningAlgorithm } from '../signing-algorithm.ts';
import type { SignatureKey } from './verify-signature.ts';

/** Tokens of the time before Postern are accepted until this moment (Unix time, ms). */
export interface LegacyHs256Key {
  readonly key: SignatureKey;
  readonly untilMs: number;
}

/** What a verifier can verify with: published keys, or the shared secret of HS256 mode, and perhaps the legacy door. */
export interface VerificationKeys {
  readonly ring: KeyRing;
  readonly sharedSecret: SignatureKey | null;
  readonly legacyHs256: LegacyHs256Key | null;
}

/** The one key that a token is tried with, and the rules that its claims then meet. */
export interface SelectedKey {
  readonly ok: true;
  readonly key: SignatureKey;
  readonly keyId: string | null;
  readonly signatureBytes: number;
  readonly profile: ClaimsProfile;
  readonly refusedFromMs: number;
}

const HMAC_SHA256_BYTES = 32;
/** T12; RFC 9068 section 4 allows the full media type. */
export const ACCESS_TOKEN_TYPE = /^(?:application\/)?at\+jwt$/i;
export const SHARED_SECRET_TYPE = /^(?:application\/)?(?:at\+)?jwt$/i;

/**
 * Chooses the key, in this order: an alg outside the closed list (none, HS*, anything else), a kid that is not
 * published, an alg that is not the key's, a typ of another kind of token. So a header alone decides which key is
 * tried, once, and a token of the wrong kind costs no signature (T03-T05, T12).
 */
export function selectKey(
  token: UnverifiedToken,
  keys: VerificationKeys,
  nowMs: number,
): SelectedKey | { readonly ok: false; readonly refusal: TokenRefusal } {
  const { alg, kid, typ } = token.header;
  const { ring, sharedSecret, legacyHs256 } = keys;
  if (legacyHs256 !== null && nowMs < legacyHs256.untilMs && isLegacyToken(token.header, token.claims)) {
    return hmacKey(legacyHs256.key, 'legacy', legacyHs256.untilMs);
  }
  if (sharedSecret !== null) {
    if (alg !== 'HS256') return refuse(refusals.algNotAllowed);
    if (kid !== undefined) return refuse(refusals.kidWithSharedSecret);
    if (typ === undefined || !SHARED_SECRET_TYPE.test(typ)) return refuse(refusals.typeInvalid);
    return hmacKey(sharedSecret, 'shared-secret', Infinity);
  }
  if (!isSigningAlgorithm(alg)) return refuse(refusals.algNotAllowed);
  if (kid === undefined) return refuse(refusals.kidMissing);
  const key = ring.find(kid);
  if (key === undefined) return refuse(refusals.keyUnknown);
  if (key.algorithm !== alg) return refuse(refusals.algOfOtherKey);
  if (typ === undefined || !ACCESS_TOKEN_TYPE.test(typ)) return refuse(refusals.typeInvalid);
  // The key's own copy of the kid: a slice of the header would keep the header alive with a remembered token.
  const { kid: keyId, signatureBytes } = key;
  return { ok: true, key, keyId, signatureBytes, profile: 'access', refusedFromMs: Infinity };
}

/**
 * What the tutorial issued has `{"alg":"HS256"}`, perhaps with `"typ":"JWT"`, and names its user in `user_id`. A token
 * with `sub` is not one of them, so it keeps its own refusal, and no token is ever tried with two keys.
 */
export function isLegacyToken({ alg, kid, typ }: TokenHeader, claims: UncheckedClaims): boolean {
  return (
    alg === 'HS256' && kid === undefined && (typ === undefined || typ === 'JWT') && claims.sub === undefined
  );
}

function hmacKey(key: SignatureKey, profile: ClaimsProfile, refusedFromMs: number): SelectedKey {
  return { ok: true, key, keyId: null, signatureBytes: HMAC_SHA256_BYTES, profile, refusedFromMs };
}

function refuse(refusal: TokenRefusal): { readonly ok: false; readonly refusal: TokenRefusal } {
  return { ok: false, refusal };
}
