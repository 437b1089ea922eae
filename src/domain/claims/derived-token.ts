import type { VerifiedClaims } from './claims.ts';

/** The claim `client_id` of tokens that belong to a session: from a login, a refresh or a change of the password. */
export const SESSION_CLIENT_ID = 'postern';

/**
 * The claim `client_id` of a token that was derived from another token, or from a user's API key, without a service that
 * acts. A service's token that has its own id was got with a proof of its identity, and lets it act for others.
 */
export const DERIVED_CLIENT_ID = 'exchange';

/**
 * Whether a credential is narrower than what it came from: an API key, or a token that was exchanged for another one. A
 * user's must not change the password, make API keys or end the session: otherwise every service that it passes through
 * could. With a service's nobody can act for others.
 *
 * Tokens of other programs with the shared secret count as those of a session, whatever their `client_id`.
 */
export function isDerived({ credentialKind, actor, clientId }: VerifiedClaims): boolean {
  return credentialKind === 'api-key' || actor !== null || clientId === DERIVED_CLIENT_ID;
}
