import type { TokenSet } from '../generated/postern/v1/auth.ts';
import type { AuthClient } from './auth-client.ts';
import { RenewingToken } from './renewing-token.ts';

/** A refresh comes when this share of the access token's life is over. */
const RENEW_AT_FRACTION = 0.8;

/** The tokens of a person who is logged in, kept fresh. */
export interface UserSession {
  /**
   * An access token that is good for a while. Many callers at once cost one refresh. Rejects with a `PosternError` of a
   * REFRESH_TOKEN_ reason when the session has ended: the person logs in again.
   */
  accessToken(): Promise<string>;
  /** The newest tokens, to be kept where only their owner reads them. */
  readonly tokens: TokenSet;
  /** Ends the session, or all of the person's. */
  logout(options?: { allSessions?: boolean }): Promise<void>;
}

/**
 * Keeps the tokens of a login fresh.
 *
 * @param onTokens called with every new pair before anybody gets its access token, so that no refresh token is lost
 */
export function createUserSession(
  client: AuthClient,
  tokens: TokenSet,
  onTokens: (tokens: TokenSet) => void | Promise<void> = () => undefined,
): UserSession {
  let newest = tokens;
  const access = new RenewingToken(
    async () => {
      // The newest counts from here on, also when `onTokens` fails: the one before is used up.
      newest = await client.refreshToken(newest.refreshToken);
      await onTokens(newest);
      return renewalOf(newest);
    },
    () => RENEW_AT_FRACTION,
    renewalOf(tokens),
  );

  return {
    accessToken: () => access.current(),
    get tokens() {
      return newest;
    },
    logout: ({ allSessions = false } = {}) => client.revokeToken({ token: newest.refreshToken, allSessions }),
  };
}

const renewalOf = ({ accessToken, expiresIn }: TokenSet) => ({
  value: accessToken,
  lifetimeMs: expiresIn * 1000,
});
