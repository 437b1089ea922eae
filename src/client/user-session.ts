import type { TokenSet } from '../generated/postern/v1/auth.ts';
import {
  hasMethods,
  isName,
  isPlainObject,
  isRecord,
  throwFaults,
  unknownMembers,
} from './argument-checks.ts';
import type { AuthClient } from './auth-client.ts';
import type { StepUpProof } from './second-factor-calls.ts';
import { RenewingToken } from './renewing-token.ts';

/** The tokens are refreshed after this share of the access token's lifetime. */
const RENEW_AT_FRACTION = 0.8;

/** The tokens of a logged-in user, refreshed before they expire. */
export interface UserSession {
  /**
   * A valid access token. Concurrent callers share one refresh. Rejects with a `PosternError` that has a REFRESH_TOKEN_
   * reason when the session has ended: the user has to log in again.
   */
  accessToken(): Promise<string>;
  /**
   * Proves again who the user is, after STEP_UP_REQUIRED: with a code or a passkey, or with the password for a user without a
   * second factor. `accessToken` returns the new token from then on.
   */
  stepUp(proof: StepUpProof): Promise<void>;
  /** The newest tokens. Store them where only their user can read them. */
  readonly tokens: TokenSet;
  /** Ends this session, or all sessions of the user. */
  logout(options?: { allSessions?: boolean }): Promise<void>;
}

/**
 * Keeps the tokens of a login fresh.
 *
 * @param onTokens stores each new pair of tokens; it is awaited before the access token is returned, so that no refresh
 *   token is lost
 * @throws TypeError for invalid arguments
 */
export function createUserSession(
  client: AuthClient,
  tokens: TokenSet,
  onTokens: (tokens: TokenSet) => void | Promise<void> = () => undefined,
): UserSession {
  throwFaults('createUserSession', sessionFaults(client, tokens, onTokens));
  let newest = tokens;
  const access = new RenewingToken(
    async () => {
      // Assigned before `onTokens`, which may fail: the previous refresh token is already used.
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
    async stepUp(proof) {
      const accessToken = await access.current();
      const raised = await client.stepUp({ ...proof, accessToken });
      await access.replace(renewalOf(raised));
      // With the refresh token of now, since it may have been used meanwhile.
      const { refreshToken, refreshExpiresIn } = newest;
      newest = { ...raised, refreshToken, refreshExpiresIn };
      await onTokens(newest);
    },
    async logout(options = {}) {
      throwFaults('logout', logoutFaults(options));
      await client.revokeToken({ token: newest.refreshToken, allSessions: options.allSessions ?? false });
    },
  };
}

function logoutFaults(options: unknown): string[] {
  if (!isPlainObject(options)) return ['the argument must be an object, { allSessions }'];
  return unknownMembers(options, ['allSessions']).map((name) => `${name} is not a known option`);
}

function sessionFaults(client: unknown, tokens: unknown, onTokens: unknown): string[] {
  const faults: string[] = [];
  if (!hasMethods(client, 'refreshToken', 'revokeToken'))
    faults.push('the client must come from createAuthClient');
  if (!isRecord(tokens) || !isName(tokens['accessToken']) || !Number.isFinite(tokens['expiresIn']))
    faults.push('the tokens must be the answer of login: accessToken, refreshToken, expiresIn and so on');
  else if (!isName(tokens['refreshToken']))
    faults.push('the tokens have no refreshToken; for a service account use serviceCredential');
  if (typeof onTokens !== 'function') faults.push('onTokens must be a function');
  return faults;
}

const renewalOf = ({ accessToken, expiresIn }: TokenSet) => ({
  value: accessToken,
  lifetimeMs: expiresIn * 1000,
});
