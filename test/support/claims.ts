import type { VerifiedClaims } from '../../src/domain/claims/claims.ts';

/** Minimal claims of a user, with the changes that a test needs. */
export function someClaims(own: Partial<VerifiedClaims> = {}): VerifiedClaims {
  return {
    subject: 'ann',
    subjectType: 'user',
    sessionId: null,
    tokenId: null,
    clientId: null,
    externalId: null,
    subjectName: null,
    actor: null,
    acr: null,
    amr: [],
    authenticatedAtSeconds: null,
    credentialKind: 'access-token',
    issuer: null,
    audience: [],
    roles: [],
    issuedAtSeconds: null,
    expiresAtSeconds: 1,
    keyId: null,
    ...own,
  };
}
