import type { PresentedApiKey } from '../../domain/claims/api-key.ts';
import { audienceFault, type ClaimsPolicy, type VerifiedClaims } from '../../domain/claims/claims.ts';
import { Rejected, RETRY_AFTER_MS, type Rejection } from '../../domain/rejection.ts';
import type { ApiKeyDirectory, FoundApiKey, KnownApiKey } from './api-key-directory.ts';
import type { ApiKeyFeed } from './api-key-feed.ts';
import type { ApiKeyUses } from './api-key-uses.ts';

/** What every place that accepts an API key verifies it with. */
export interface ApiKeyVerification {
  readonly directory: ApiKeyDirectory;
  readonly feed: Pick<ApiKeyFeed, 'nextRead' | 'ageMs'>;
  readonly uses: Pick<ApiKeyUses, 'note'>;
  readonly policy: () => Pick<ClaimsPolicy, 'audiences'>;
  /** Beyond it every key is refused with `trust-stale`, ms. */
  readonly maxStalenessMs: number;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

type Cause = Extract<Rejection, { kind: 'api-key-invalid' }>['cause'];

/**
 * Verifies an API key from memory and returns the claims of a token with its rights; synchronously for a valid key.
 *
 * Every refusal but of a malformed key waits for the next read of the keys, whatever its cause: the key may be new, and the
 * time reveals no more than the answer.
 *
 * @throws Rejected `api-key-invalid`, `token-refused` for another audience, `trust-stale`
 */
export function verifyApiKey(
  verification: ApiKeyVerification,
  presented: PresentedApiKey,
): VerifiedClaims | Promise<VerifiedClaims> {
  const { directory, feed } = verification;
  requireFresh(verification);
  const found = directory.find(presented.key);
  const cause = causeOfRefusal(verification, found, presented.address);
  if (cause === null) return accept(verification, found as KnownApiKey, presented);
  if (cause === 'malformed') throw refused(cause, found);
  const isValidNow = () =>
    causeOfRefusal(verification, directory.find(presented.key), presented.address) === null;
  return feed.nextRead(isValidNow).then(() => {
    requireFresh(verification);
    const again = directory.find(presented.key);
    const causeNow = causeOfRefusal(verification, again, presented.address);
    if (causeNow !== null) throw refused(causeNow, again);
    return accept(verification, again as KnownApiKey, presented);
  });
}

/** @throws Rejected `trust-stale` */
export function requireFresh({
  feed,
  maxStalenessMs,
}: Pick<ApiKeyVerification, 'feed' | 'maxStalenessMs'>): void {
  if (feed.ageMs > maxStalenessMs) throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
}

/** Why a key is refused, without a look at the networks; null when it is valid. */
export function causeOfInvalidity(
  { policy, nowMs }: Pick<ApiKeyVerification, 'policy' | 'nowMs'>,
  found: FoundApiKey,
): Cause | null {
  if (typeof found === 'string') return found;
  const { claims, ownerAllows } = found;
  if (claims.expiresAtSeconds <= nowMs() / 1000) return 'expired';
  if (!ownerAllows) return 'owner-disabled';
  // An audience that was removed since: no token for it is accepted either.
  return policy().audiences.includes(claims.audience[0] ?? '') ? null : 'unknown';
}

function causeOfRefusal(
  verification: ApiKeyVerification,
  found: FoundApiKey,
  address: string | null,
): Cause | null {
  const cause = causeOfInvalidity(verification, found);
  if (cause !== null || typeof found === 'string' || found.allows === null) return cause;
  return address !== null && found.allows(address) ? null : 'network';
}

function accept(
  { uses }: ApiKeyVerification,
  { id, claims }: KnownApiKey,
  { address, requiredAudience }: PresentedApiKey,
): VerifiedClaims {
  const refusal = audienceFault(claims, requiredAudience);
  if (refusal !== null) throw new Rejected({ kind: 'token-refused', refusal });
  uses.note(id, address);
  return claims;
}

function refused(cause: Cause, found: FoundApiKey): Rejected {
  const subject =
    typeof found === 'string' ? {} : { subject: { target: { type: 'api-key', id: found.id } } as const };
  return new Rejected({ kind: 'api-key-invalid', cause, ...subject });
}
