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
}

export interface VerifyInput {
  /** An access token or an API key. */
  readonly token: string;
  /** Empty to accept every configured audience. */
  readonly audience: string;
  /** From where an API key is used. Null or left out when that is not known: a key with networks is refused. */
  readonly address?: string | null;
}

const audienceRules = { audience: optional(text({ minBytes: 1, maxBytes: 256 })) };

/**
 * Verifies an access token or an API key and returns its claims; synchronously for a token in the verification cache and a
 * valid key.
 *
 * @throws Rejected `token-refused`, `api-key-invalid`, `field-invalid`, or `trust-stale` while the trust bundle is not loaded or too stale
 */
export function verifyToken(
  dependencies: VerifyDependencies,
  input: VerifyInput,
): VerifiedClaims | Promise<VerifiedClaims> {
  const { verifier, trust, maxStalenessMs, verifyApiKey } = dependencies;
  if (input.audience !== '') requireValid(audienceRules, { audience: input.audience });
  const requiredAudience = input.audience === '' ? undefined : input.audience;
  // `loaded` covers keys and revocations: without keys every token would be refused for an unknown key.
  if (!trust.loaded || trust.ageMs > maxStalenessMs)
    return verifyAfterLoad(dependencies, input, requiredAudience);
  if (verifyApiKey && looksLikeApiKey(input.token))
    return verifyApiKey(presentedKey(input, requiredAudience));
  const verdict = verifier.verify(input.token, requiredAudience);
  return verdict instanceof Promise ? verdict.then(claimsOrThrow) : claimsOrThrow(verdict);
}

async function verifyAfterLoad(
  {
    verifier,
    trust,
    maxStalenessMs,
    verifyApiKey,
    initialLoadWaitMs = INITIAL_LOAD_WAIT_MS,
  }: VerifyDependencies,
  input: VerifyInput,
  requiredAudience: string | undefined,
): Promise<VerifiedClaims> {
  await trust.whenLoaded(initialLoadWaitMs);
  if (!trust.loaded || trust.ageMs > maxStalenessMs)
    throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
  if (verifyApiKey && looksLikeApiKey(input.token))
    return verifyApiKey(presentedKey(input, requiredAudience));
  return claimsOrThrow(await verifier.verify(input.token, requiredAudience));
}

function presentedKey(
  { token: key, address = null }: VerifyInput,
  requiredAudience: string | undefined,
): PresentedApiKey {
  return { key, address, requiredAudience };
}

function claimsOrThrow(verdict: TokenVerdict): VerifiedClaims {
  if (verdict.ok) return verdict.claims;
  throw new Rejected({ kind: 'token-refused', refusal: verdict.refusal });
}
