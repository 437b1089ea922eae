import type { VerifiedClaims } from '../domain/claims.ts';
import { optional, requireValid, text } from '../domain/field-rules.ts';
import { Rejected } from '../domain/rejection.ts';
import type { TokenVerdict, TokenVerifier } from '../tokens/token-verifier.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';

/** How long a verification waits for the first keys of a process that has just started. */
const FIRST_KEYS_WAIT_MS = 1_000;
const RETRY_AFTER_MS = 1_000;

const audienceRules = { audience: optional(text({ minBytes: 1, maxBytes: 256 })) };

/**
 * Says whom an access token speaks for. Answers at once, without a promise, for a token that was seen before.
 *
 * @param input.audience empty to accept every configured audience
 * @throws Rejected `token-refused`, `field-invalid`, or `trust-stale` while nothing can be judged
 */
export function verifyToken(
  dependencies: { verifier: TokenVerifier; trust: TrustBundle },
  input: { readonly token: string; readonly audience: string },
): VerifiedClaims | Promise<VerifiedClaims> {
  const { verifier, trust } = dependencies;
  if (input.audience !== '') requireValid(audienceRules, { audience: input.audience });
  const requiredAudience = input.audience === '' ? undefined : input.audience;
  if (!trust.loaded) return afterFirstKeys(dependencies, input.token, requiredAudience);
  const verdict = verifier.verify(input.token, requiredAudience);
  return verdict instanceof Promise ? verdict.then(accepted) : accepted(verdict);
}

async function afterFirstKeys(
  { verifier, trust }: { verifier: TokenVerifier; trust: TrustBundle },
  token: string,
  requiredAudience: string | undefined,
): Promise<VerifiedClaims> {
  await trust.firstKeys(FIRST_KEYS_WAIT_MS);
  if (!trust.loaded) throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
  return accepted(await verifier.verify(token, requiredAudience));
}

function accepted(verdict: TokenVerdict): VerifiedClaims {
  if (verdict.ok) return verdict.claims;
  throw new Rejected({ kind: 'token-refused', refusal: verdict.refusal });
}
