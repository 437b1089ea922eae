import type { VerifiedClaims } from '../../domain/claims/claims.ts';
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
}

const audienceRules = { audience: optional(text({ minBytes: 1, maxBytes: 256 })) };

/**
 * Verifies an access token and returns its claims; synchronously for a token in the verification cache.
 *
 * @param input.audience empty to accept every configured audience
 * @throws Rejected `token-refused`, `field-invalid`, or `trust-stale` while the trust bundle is not loaded or too stale
 */
export function verifyToken(
  dependencies: VerifyDependencies,
  input: { readonly token: string; readonly audience: string },
): VerifiedClaims | Promise<VerifiedClaims> {
  const { verifier, trust, maxStalenessMs } = dependencies;
  if (input.audience !== '') requireValid(audienceRules, { audience: input.audience });
  const requiredAudience = input.audience === '' ? undefined : input.audience;
  // `loaded` covers keys and revocations: without keys every token would be refused for an unknown key.
  if (!trust.loaded || trust.ageMs > maxStalenessMs)
    return verifyAfterLoad(dependencies, input.token, requiredAudience);
  const verdict = verifier.verify(input.token, requiredAudience);
  return verdict instanceof Promise ? verdict.then(claimsOrThrow) : claimsOrThrow(verdict);
}

async function verifyAfterLoad(
  { verifier, trust, maxStalenessMs, initialLoadWaitMs = INITIAL_LOAD_WAIT_MS }: VerifyDependencies,
  token: string,
  requiredAudience: string | undefined,
): Promise<VerifiedClaims> {
  await trust.whenLoaded(initialLoadWaitMs);
  if (!trust.loaded || trust.ageMs > maxStalenessMs)
    throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
  return claimsOrThrow(await verifier.verify(token, requiredAudience));
}

function claimsOrThrow(verdict: TokenVerdict): VerifiedClaims {
  if (verdict.ok) return verdict.claims;
  throw new Rejected({ kind: 'token-refused', refusal: verdict.refusal });
}
