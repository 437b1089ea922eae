import type { VerifiedClaims } from '../../src/domain/claims.ts';

/** A person's claims with nothing in them that a test did not ask for. */
export function someClaims(own: Partial<VerifiedClaims> = {}): VerifiedClaims {
  return {
    subject: 'ann',
    subjectType: 'user',
    sessionId: null,
    tokenId: null,
    clientId: null,
    externalId: null,
    issuer: null,
    audience: [],
    roles: [],
    issuedAtSeconds: null,
    expiresAtSeconds: 1,
    keyId: null,
    ...own,
  };
}
