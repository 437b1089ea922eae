import type { VerifiedClaims } from './claims.ts';

/** The claim `client_id` of tokens that belong to a session: from a login, a refresh or a change of the password. */
export const SESSION_CLIENT_ID = 'postern';

/** The claim `client_id` of a user's token that was derived from a token or an API key, without a service that acts. */
export const DERIVED_CLIENT_ID = 'exchange';

/**
 * Whether a credential is narrower than a session: an API key, or a token that ExchangeToken issued for a user. It must not
 * change the password, make API keys or end the session: otherwise every service that it passes through could.
 *
 * Tokens of other programs with the shared secret count as those of a session, whatever their `client_id`.
 */
export function isDerived({ credentialKind, actor, clientId }: VerifiedClaims): boolean {
  return credentialKind === 'api-key' || actor !== null || clientId === DERIVED_CLIENT_ID;
}
