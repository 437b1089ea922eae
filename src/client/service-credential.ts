import { createAuthClient } from './auth-client.ts';
import type { Upstream } from './channel.ts';
import type { WatchCredential } from '../trust/stream-trust-source.ts';

/** A new token is asked for when this share of the one before is over; jitter keeps many holders apart. */
const RENEW_AT_SHARE = 0.75;
const JITTER_SHARE = 0.1;

export interface ServiceToken {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
}

/** A service account's access token, kept fresh: asked for when first needed, once for many concurrent callers. */
export class ServiceCredential implements WatchCredential {
  readonly #issue: () => Promise<ServiceToken>;
  #current: { token: string; renewAtMs: number } | null = null;
  #asking: Promise<{ token: string; renewAtMs: number }> | null = null;

  /** @param issue asks the service, as `IssueServiceToken` does */
  constructor(issue: () => Promise<ServiceToken>) {
    this.#issue = issue;
  }

  async accessToken(): Promise<string> {
    return (await this.#fresh()).token;
  }

  async next(): Promise<{ authorization: string; renewAtMs: number }> {
    const { token, renewAtMs } = await this.#fresh();
    return { authorization: `Bearer ${token}`, renewAtMs };
  }

  /** Makes the next call ask for a new token: the service refused this one. */
  forget(): void {
    this.#current = null;
  }

  async #fresh(): Promise<{ token: string; renewAtMs: number }> {
    if (this.#current && performance.now() < this.#current.renewAtMs) return this.#current;
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #ask(): Promise<{ token: string; renewAtMs: number }> {
    const askedMs = performance.now();
    const { accessToken, expiresInSeconds } = await this.#issue();
    const share = RENEW_AT_SHARE + Math.random() * JITTER_SHARE;
    this.#current = { token: accessToken, renewAtMs: askedMs + expiresInSeconds * 1000 * share };
    return this.#current;
  }
}

/** The credential of a service account at one Postern. */
export function serviceCredential(
  upstream: Upstream,
  account: { clientId: string; clientSecret: string },
): ServiceCredential {
  const client = createAuthClient({
    ...upstream,
    retry: { attempts: 1, firstPauseMs: 0, longestPauseMs: 0 },
  });
  return new ServiceCredential(async () => {
    const { accessToken, expiresIn } = await client.issueServiceToken(account);
    return { accessToken, expiresInSeconds: expiresIn };
  });
}
