import type { WatchCredential } from '../trust/stream-trust-source.ts';
import { createAuthClient } from './auth-client.ts';
import type { Upstream } from './channel.ts';
import { RenewingToken } from './renewing-token.ts';

/** A new token is asked for when this share of the one before is over; jitter keeps many holders apart. */
const RENEW_AT_FRACTION = 0.75;
const JITTER_FRACTION = 0.1;

export interface ServiceToken {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
}

/** A service account's access token, kept fresh: asked for when first needed, once for many concurrent callers. */
export class ServiceCredential implements WatchCredential {
  readonly #token: RenewingToken<string>;
  readonly #close: () => void;

  /**
   * @param issue asks the service, as `IssueServiceToken` does
   * @param close lets go of what `issue` asks through
   */
  constructor(issue: () => Promise<ServiceToken>, close: () => void = () => undefined) {
    this.#token = new RenewingToken(
      async () => {
        const { accessToken, expiresInSeconds } = await issue();
        return { value: accessToken, lifetimeMs: expiresInSeconds * 1000 };
      },
      () => RENEW_AT_FRACTION + Math.random() * JITTER_FRACTION,
    );
    this.#close = close;
  }

  /** While the service does not answer, the token before serves until it expires. */
  accessToken(): Promise<string> {
    return this.#token.current();
  }

  async next(): Promise<{ authorization: string; renewAtMs: number }> {
    const { value, renewAtMs } = await this.#token.renewed();
    return { authorization: `Bearer ${value}`, renewAtMs };
  }

  /** Makes the next call ask for a new token: the service refused this one (its key was revoked, say). */
  forget(refused?: string): void {
    this.#token.forget(refused);
  }

  close(): void {
    this.#close();
  }
}

/** A service account, as `postern service create` printed it. */
export interface ServiceAccount {
  readonly clientId: string;
  readonly clientSecret: string;
  /**
   * Whom the tokens are for, the service's first audience when absent. Postern itself (watching, vouching for `client`
   * at Login) takes only those for its own, `POSTERN_API_AUDIENCE`.
   */
  readonly audience?: string;
}

/** The credential of a service account at one Postern. */
export function serviceCredential(upstream: Upstream, account: ServiceAccount): ServiceCredential {
  // The watcher, which never gives up, has pauses of its own.
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
