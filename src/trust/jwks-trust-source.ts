import { status } from '@grpc/grpc-js';

import { errorText } from '../domain/error-text.ts';
import { Backoff } from '../domain/concurrency/backoff.ts';
import { type ClaimsPolicy, DEFAULT_SKEW_SECONDS } from '../domain/claims.ts';
import { isLocalUrl } from '../net/listen-address.ts';
import { download } from './download.ts';
import type { SourceEvent } from './stream-trust-source.ts';
import type { TrustBundle } from './trust-bundle.ts';
import { readKeySet, UnusableKeys } from './trusted-keys.ts';

const FETCH_LIMIT_MS = 5_000;
const MAX_BYTES = 256 * 1024;
const DEFAULT_MAX_AGE_SECONDS = 300;
const MIN_PAUSE_MS = 1_000;
/** Tokens of made-up keys must not make a verifier ask all the time. */
const REFETCH_INTERVAL_MS = 30_000;
const MAX_PAUSE_MS = 3_600_000;
/** Postern's own limit: no access token lives longer. */
const MAX_LIFETIME_SECONDS = 86_400;

/**
 * Feeds a trust bundle with the keys of a JWKS URL, asked again when the answer's `max-age` is over. There is no news of
 * revocations, so a bundle fed by it is only as fresh as its keys.
 */
export class JwksTrustSource {
  readonly policy: ClaimsPolicy;
  readonly #url: URL;
  readonly #bundle: TrustBundle;
  readonly #report: (event: SourceEvent) => void;
  #connected = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #refetchedAtMs = -Infinity;
  #refetching: Promise<void> | null = null;
  /** After failures: 0.5 to 1 s, 1 to 2, 2 to 4 and so on, 30 to 60 s at most. */
  readonly #backoff = new Backoff({ firstMs: MIN_PAUSE_MS, maxMs: 60_000, jitter: 0.5 });
  /** When the newest request that has been answered was sent, monotonic. */
  #appliedReadAtMs = -Infinity;

  /**
   * @throws TypeError for an address that is no http or https URL, and for plaintext from another machine that nobody
   *   allowed: whoever is on the way could put keys of his own into the set
   */
  constructor(
    origin: { jwksUrl: string; issuer: string; audiences: readonly string[]; insecure?: boolean },
    bundle: TrustBundle,
    report: (event: SourceEvent) => void,
  ) {
    this.#url = new URL(origin.jwksUrl);
    if (!/^https?:$/.test(this.#url.protocol)) throw new TypeError('jwksUrl must be an http or https URL');
    if (this.#url.protocol === 'http:' && origin.insecure !== true && !isLocalUrl(this.#url)) {
      throw new TypeError(
        `the keys would be fetched from ${this.#url.host} in plaintext: give an https URL, or insecure: true if a proxy between encrypts the connection`,
      );
    }
    this.policy = Object.freeze({
      issuer: origin.issuer,
      audiences: origin.audiences,
      maxLifetimeSeconds: MAX_LIFETIME_SECONDS,
      skewSeconds: DEFAULT_SKEW_SECONDS,
    });
    this.#bundle = bundle;
    this.#report = report;
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Whether a key that is unknown here may be asked for now. */
  get canRefetch(): boolean {
    return this.#refetching !== null || performance.now() - this.#refetchedAtMs >= REFETCH_INTERVAL_MS;
  }

  start(): void {
    void this.#fetch();
  }

  /** Reads the key set ahead of its time, once for many callers. */
  refetch(): Promise<void> {
    if (this.#refetching) return this.#refetching;
    this.#refetchedAtMs = performance.now();
    clearTimeout(this.#timer);
    this.#refetching = this.#fetch().finally(() => (this.#refetching = null));
    return this.#refetching;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #fetch(): Promise<void> {
    const readAtMs = performance.now();
    // Two requests may be under way at once: a slow older answer must not take the place of a newer one.
    const isOutdated = () => this.#stopped || readAtMs < this.#appliedReadAtMs;
    try {
      const { json, maxAgeSeconds } = await fetchKeySet(this.#url);
      const ring = await readKeySet(json);
      if (isOutdated()) return;
      this.#appliedReadAtMs = readAtMs;
      this.#bundle.replaceKeys(ring);
      const validMs = Math.min(Math.max(maxAgeSeconds * 1000, MIN_PAUSE_MS), MAX_PAUSE_MS);
      // Good for as long as its max-age says; only then it begins to be stale.
      this.#bundle.confirm(readAtMs + validMs);
      if (!this.#connected) this.#report({ kind: 'connected' });
      this.#connected = true;
      this.#backoff.reset();
      this.#schedule(validMs);
    } catch (error) {
      if (isOutdated()) return;
      this.#connected = false;
      this.#report(failureOf(error));
      this.#schedule(this.#backoff.next());
    }
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    // A look ahead of time may have been on its way beside the regular one: one round goes on, not two.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#fetch(), delayMs);
    // A verifier alone is no reason for its process to go on.
    this.#timer.unref();
  }
}

/** A set without a key that verifies is no news: the keys before it stay, and it is asked for again. */
function failureOf(error: unknown): SourceEvent {
  if (error instanceof UnusableKeys) return { kind: 'unusable', error };
  const details = `the key set could not be fetched: ${errorText(error)}`;
  return { kind: 'disconnected', end: { code: status.UNAVAILABLE, details } };
}

async function fetchKeySet(url: URL): Promise<{ json: string; maxAgeSeconds: number }> {
  const { body, headers } = await download(url, { limitMs: FETCH_LIMIT_MS, maxBytes: MAX_BYTES });
  const maxAge = /max-age=(\d{1,9})/.exec(headers.get('cache-control') ?? '')?.[1];
  return {
    json: body.toString('utf8'),
    maxAgeSeconds: maxAge === undefined ? DEFAULT_MAX_AGE_SECONDS : Number(maxAge),
  };
}
