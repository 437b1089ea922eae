import { type AuthenticationRequirement, authenticationFault } from '../../domain/claims/authentication.ts';
import type { VerifiedClaims } from '../../domain/claims/claims.ts';
import { looksLikeApiKey, type PresentedApiKey } from '../../domain/claims/api-key.ts';
import { optional, requireValid, text } from '../../domain/validation.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import type { TokenVerdict, TokenVerifier } from '../../tokens/verify/token-verifier.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';

const INITIAL_LOAD_WAIT_MS = 1_000;

export interface VerifyDependencies {
  readonly verifier: TokenVerifier;
  readonly trust: TrustBundle;
  /** Maximum staleness of the trust bundle, ms; beyond it every token is refused with `trust-stale`. */
  readonly maxStalenessMs: number;
  /** How long a call waits for the first keys and revocations after the start, ms. Default: 1000. */
  readonly initialLoadWaitMs?: number;
  /** Verifies an API key. Left out in a process that does not know API keys: it refuses them as malformed tokens. */
  readonly verifyApiKey?: (presented: PresentedApiKey) => VerifiedClaims | Promise<VerifiedClaims>;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

export interface VerifyInput {
  /** An access token or an API key. */
  readonly token: string;
  /** Empty to accept every configured audience. */
  readonly audience: string;
  /** From where an API key is used. Null or left out when that is not known: a key with networks is refused. */
  readonly address?: string | null;
  /** What the authentication of the user must satisfy. Left out, any token is accepted, and API keys. */
  readonly requirement?: AuthenticationRequirement;
}

const audienceRules = { audience: optional(text({ minBytes: 1, maxBytes: 256 })) };

/**
 * Verifies an access token or an API key and returns its claims; synchronously for a token in the verification cache and a
 * valid key.
 *
 * @throws Rejected `token-refused`, `api-key-invalid`, `step-up-required`, `field-invalid`, or `trust-stale` while the trust
 * bundle is not loaded or too stale
 */
export function verifyToken(
  dependencies: VerifyDependencies,
  input: VerifyInput,
): VerifiedClaims | Promise<VerifiedClaims> {
  const { trust, maxStalenessMs } = dependencies;
  if (input.audience !== '') requireValid(audienceRules, { audience: input.audience });
  // `loaded` covers keys and revocations: without keys every token would be refused for an unknown key.
  if (!trust.loaded || trust.ageMs > maxStalenessMs) return verifyAfterLoad(dependencies, input);
  return verifyNow(dependencies, input);
}

async function verifyAfterLoad(
  dependencies: VerifyDependencies,
  input: VerifyInput,
): Promise<VerifiedClaims> {
  const { trust, maxStalenessMs, initialLoadWaitMs = INITIAL_LOAD_WAIT_MS } = dependencies;
  await trust.whenLoaded(initialLoadWaitMs);
  if (!trust.loaded || trust.ageMs > maxStalenessMs)
    throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
  return verifyNow(dependencies, input);
}

function verifyNow(
  { verifier, verifyApiKey, nowMs }: VerifyDependencies,
  { token, audience, address = null, requirement }: VerifyInput,
): VerifiedClaims | Promise<VerifiedClaims> {
  const requiredAudience = audience === '' ? undefined : audience;
  const claims =
    verifyApiKey && looksLikeApiKey(token)
      ? verifyApiKey({ key: token, address, requiredAudience })
      : verifyAccessToken(verifier, token, requiredAudience);
  if (requirement === undefined) return claims;
  // On every call, for a cached token as well: a proof grows old.
  const accept = (verified: VerifiedClaims) => {
    requireAuthentication(verified, requirement, nowMs());
    return verified;
  };
  return claims instanceof Promise ? claims.then(accept) : accept(claims);
}

function verifyAccessToken(
  verifier: TokenVerifier,
  token: string,
  requiredAudience: string | undefined,
): VerifiedClaims | Promise<VerifiedClaims> {
  const verdict = verifier.verify(token, requiredAudience);
  return verdict instanceof Promise ? verdict.then(claimsOrThrow) : claimsOrThrow(verdict);
}

/** @throws Rejected `step-up-required` */
export function requireAuthentication(
  claims: VerifiedClaims,
  requirement: AuthenticationRequirement,
  nowMs: number,
): void {
  const detail = authenticationFault(claims, requirement, nowMs / 1000);
  if (detail !== null) throw new Rejected({ kind: 'step-up-required', detail, requirement });
}

function claimsOrThrow(verdict: TokenVerdict): VerifiedClaims {
  if (verdict.ok) return verdict.claims;
  throw new Rejected({ kind: 'token-refused', refusal: verdict.refusal });
}
