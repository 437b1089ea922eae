import type { WatchCredential } from '../trust/stream-trust-source.ts';
import { accountFaults, isDuration, isName, isRecord, throwFaults } from './argument-checks.ts';
import { createAuthClient } from './auth-client.ts';
import { type Upstream, upstreamFaults } from './channel.ts';
import { RenewingToken } from './renewing-token.ts';

/** A token is renewed after this share of its lifetime; jitter spreads the renewals of many processes. */
const RENEW_AT_FRACTION = 0.75;
const JITTER_FRACTION = 0.1;

export interface ServiceToken {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
}

/** The access token of a service account: fetched on first use, renewed before it expires, shared by concurrent callers. */
export class ServiceCredential implements WatchCredential {
  readonly #token: RenewingToken<string>;
  readonly #close: () => void;

  /**
   * @param issue fetches a new token, as `IssueServiceToken` does
   * @param close releases what `issue` uses, such as a connection
   * @throws TypeError when they are no functions
   */
  constructor(issue: () => Promise<ServiceToken>, close: () => void = () => undefined) {
    if (typeof issue !== 'function' || typeof close !== 'function')
      throwFaults('ServiceCredential', ['issue and close must be functions']);
    this.#token = new RenewingToken(
      async () => {
        const { accessToken, expiresInSeconds } = requireToken(await issue());
        return { value: accessToken, lifetimeMs: expiresInSeconds * 1000 };
      },
      () => RENEW_AT_FRACTION + Math.random() * JITTER_FRACTION,
    );
    this.#close = close;
  }

  /** While the service does not answer, the previous token is returned until it expires. */
  accessToken(): Promise<string> {
    return this.#token.current();
  }

  /** For a WatchTrust stream: its `authorization` metadata, and when to renew it; monotonic time, ms. */
  async next(): Promise<{ authorization: string; renewAtMs: number }> {
    const { value, renewAtMs } = await this.#token.renewed();
    return { authorization: `Bearer ${value}`, renewAtMs };
  }

  /** Drops a token that the service refused (its key was revoked, say), so that the next call fetches a new one. */
  forget(refused?: string): void {
    this.#token.forget(refused);
  }

  close(): void {
    this.#close();
  }
}

/** @throws TypeError for a token of the wrong form: `undefined` would be sent as a text, and be renewed for each call */
function requireToken(token: unknown): ServiceToken {
  if (!isRecord(token) || !isName(token['accessToken']) || !isDuration(token['expiresInSeconds']))
    throw new TypeError('ServiceCredential: issue must return { accessToken, expiresInSeconds }');
  return token as unknown as ServiceToken;
}

/** A service account, as `postern service create` printed it. */
export interface ServiceAccount {
  readonly clientId: string;
  readonly clientSecret: string;
  /**
   * The audience of the tokens; the service's first audience when absent. Postern itself (WatchTrust, and Login with
   * `client`) accepts only tokens for its own audience, `POSTERN_API_AUDIENCE`.
   */
  readonly audience?: string;
}

/** The credential of a service account, with its own connection to the service. @throws as `createAuthClient` */
export function serviceCredential(upstream: Upstream, account: ServiceAccount): ServiceCredential {
  throwFaults('serviceCredential', [...upstreamFaults(upstream, 'upstream'), ...accountFaults(account)]);
  // No retries here: the trust source retries with its own backoff.
  const client = createAuthClient({
    ...upstream,
    retry: { attempts: 1, firstPauseMs: 0, longestPauseMs: 0 },
  });
  return new ServiceCredential(
    async () => {
      const { accessToken, expiresIn } = await client.issueServiceToken(account);
      return { accessToken, expiresInSeconds: expiresIn };
    },
    () => client.close(),
  );
}
