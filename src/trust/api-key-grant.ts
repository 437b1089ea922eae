import type { VerifiedClaims } from '../domain/claims/claims.ts';
import { Rejected, RETRY_AFTER_MS } from '../domain/rejection.ts';
import { SubjectType } from '../generated/postern/v1/auth.ts';
import type { ApiKeyGrant } from '../generated/postern/v1/trust.ts';
import { networkMatcher, parseNetwork } from '../net/cidr.ts';

/** A moment on the wall clock (Unix time) and on the monotonic clock, ms. */
export interface Clocks {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/** What an API key may do, as the service answered. */
export interface CachedGrant {
  /** The key's id. */
  readonly id: string;
  readonly revocationId: string;
  /** The claims of a token with the rights of the key. One object, as for a cached token. */
  readonly claims: VerifiedClaims;
  /** Null for a key without networks. */
  readonly allows: ((address: string) => boolean) | null;
  readonly answer: ApiKeyGrant;
  readonly askedAt: Clocks;
  readonly maxAgeMs: number;
  /** When to ask again while the grant is in use, monotonic time, ms. */
  renewAtMs: number;
}

/**
 * Reads an answer of ResolveApiKey, as untrusted input.
 *
 * @param askedAt when the call began: a revocation that the answer lacks happened later
 * @throws Rejected `trust-stale` for an answer that this version does not understand
 */
export function grantOf(
  answer: ApiKeyGrant,
  issuer: string,
  askedAt: Clocks,
  renewAtFraction: number,
): CachedGrant {
  const { id, subject, revocationId, allowedNetworks, maxAge } = answer;
  const isComplete = id !== '' && subject !== '' && revocationId !== '' && answer.audience !== '';
  if (!isComplete || !isKnownType(answer.subjectType))
    throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS }, { cause: NOT_UNDERSTOOD });
  const subjectType = answer.subjectType === SubjectType.USER ? 'user' : 'service';
  const claims: VerifiedClaims = Object.freeze({
    subject,
    subjectType,
    sessionId: null,
    tokenId: id,
    clientId: subjectType === 'service' ? subject : null,
    externalId: answer.externalId === '' ? null : answer.externalId,
    subjectName: answer.subjectName === '' ? null : answer.subjectName,
    actor: null,
    acr: null,
    amr: [],
    authenticatedAtSeconds: null,
    credentialKind: 'api-key',
    issuer,
    audience: Object.freeze([answer.audience]),
    roles: Object.freeze([...answer.roles]),
    issuedAtSeconds: answer.createdAt === undefined ? null : Math.floor(answer.createdAt.getTime() / 1000),
    expiresAtSeconds:
      answer.expiresAt === undefined ? Infinity : Math.floor(answer.expiresAt.getTime() / 1000),
    keyId: null,
  });
  // A network that this version cannot read allows no address.
  const networks = allowedNetworks.flatMap((text) => parseNetwork(text) ?? []);
  const maxAgeMs = maxAge * 1000;
  return {
    id,
    revocationId,
    claims,
    allows: allowedNetworks.length === 0 ? null : networkMatcher(networks),
    answer,
    askedAt,
    maxAgeMs,
    renewAtMs: askedAt.monotonicMs + maxAgeMs * renewAtFraction,
  };
}

/**
 * Whether a grant is too old. By both clocks: the revocation that ends it may have been dropped by the wall clock, and that
 * clock may be set back.
 */
export function isOutdated({ askedAt, maxAgeMs }: CachedGrant, now: Clocks): boolean {
  return (
    now.monotonicMs - askedAt.monotonicMs >= maxAgeMs || Math.abs(now.wallMs - askedAt.wallMs) >= maxAgeMs
  );
}

/** How long a grant that is not outdated may still be used, in whole seconds. */
export function remainingSeconds({ askedAt, maxAgeMs }: CachedGrant, now: Clocks): number {
  const passedMs = Math.max(now.monotonicMs - askedAt.monotonicMs, Math.abs(now.wallMs - askedAt.wallMs));
  return Math.max(0, Math.floor((maxAgeMs - passedMs) / 1000));
}

const NOT_UNDERSTOOD =
  'ResolveApiKey answered with something that this version does not understand; upgrade this process';

const isKnownType = (type: SubjectType) => type === SubjectType.USER || type === SubjectType.SERVICE;
