import { status } from '@grpc/grpc-js';

import { decodeText } from '../domain/decode-text.ts';
import { errorText } from '../domain/error-text.ts';
import { Backoff } from '../domain/concurrency/backoff.ts';
import { type ClaimsPolicy, DEFAULT_SKEW_SECONDS } from '../domain/claims/claims.ts';
import { isLocalUrl } from '../net/listen-address.ts';
import { download } from './download.ts';
import type { SourceEvent } from './stream-trust-source.ts';
import type { TrustBundle } from './trust-bundle.ts';
import { readKeySet, UnusableKeys } from './trusted-keys.ts';

const FETCH_LIMIT_MS = 5_000;
const MAX_BYTES = 256 * 1024;
const DEFAULT_MAX_AGE_SECONDS = 300;
const MIN_PAUSE_MS = 1_000;
/** Tokens with invented key ids must not make a verifier fetch the key set continuously. */
const REFETCH_INTERVAL_MS = 30_000;
const MAX_PAUSE_MS = 3_600_000;
/** `Age` has whole seconds, so one stored response can seem up to a second older than before. */
const AGE_RESOLUTION_MS = 1_000;
/** A larger `Age` counts as this (RFC 9111 section 1.2.2); enough digits would be an infinite one. */
const MAX_AGE_HEADER_SECONDS = 2 ** 31;
/** The longest lifetime that Postern allows for an access token. */
const MAX_LIFETIME_SECONDS = 86_400;

/**
 * Feeds a trust bundle with the keys of a JWKS URL, which it fetches again when the `max-age` of the response has passed.
 * The time that the response spent in caches on the way counts (`Age`, RFC 9111 section 4.2): otherwise a revoked key would
 * live for the time in the cache and the whole `max-age` after it. A JWKS has no revocations, so the staleness of the
 * bundle is that of the keys.
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
  /** When the request of the newest applied response was sent; monotonic time, ms. */
  #appliedReadAtMs = -Infinity;
  /** When the origin made the newest applied response; monotonic time, ms. */
  #appliedMadeAtMs = -Infinity;

  /**
   * @throws TypeError for a URL that is not http or https, and for http to another machine without `insecure`: an
   *   attacker on the network path could insert keys of their own
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
        `the keys would be fetched from ${this.#url.host} in plaintext; set an https URL, or insecure: true if a proxy in between encrypts the connection`,
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

  /** Whether `refetch` may be called now for an unknown key. */
  get canRefetch(): boolean {
    return this.#refetching !== null || performance.now() - this.#refetchedAtMs >= REFETCH_INTERVAL_MS;
  }

  start(): void {
    void this.#fetch();
  }

  /** Fetches the key set ahead of schedule; concurrent callers share one request. */
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
    // Two requests may be in flight at once: a slow older response must not replace a newer one.
    const isOutdated = () => this.#stopped || readAtMs < this.#appliedReadAtMs;
    try {
      const { json, maxAgeMs, ageMs } = await fetchKeySet(this.#url);
      const ring = await readKeySet(json);
      if (isOutdated()) return;
      if (!this.#connected) this.#report({ kind: 'connected' });
      this.#connected = true;
      const freshMs = maxAgeMs - ageMs;
      // Another cache may still have a copy from before a key was revoked: it does not bring the key back.
      if (readAtMs - ageMs >= this.#appliedMadeAtMs - AGE_RESOLUTION_MS) {
        this.#appliedReadAtMs = readAtMs;
        this.#appliedMadeAtMs = readAtMs - ageMs;
        this.#bundle.replaceKeys(ring);
        // The key set is fresh until its max-age has passed; its staleness counts from then on.
        this.#bundle.confirm(readAtMs + freshMs);
        if (freshMs > 0) {
          this.#backoff.reset();
          this.#schedule(freshMs);
          return;
        }
      }
      // From a cache that keeps responses for too long: asking it without pauses would not make it forget.
      this.#schedule(this.#backoff.next());
    } catch (error) {
      if (isOutdated()) return;
      this.#connected = false;
      this.#report(failureOf(error));
      this.#schedule(this.#backoff.next());
    }
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    // A refetch may have run beside the scheduled fetch: only one of them schedules the next.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#fetch(), delayMs);
    // A verifier alone must not keep its process alive.
    this.#timer.unref();
  }
}

/** For a key set without a usable key: the previous keys stay, and the set is fetched again. */
function failureOf(error: unknown): SourceEvent {
  if (error instanceof UnusableKeys) return { kind: 'unusable', error };
  const details = `the key set could not be fetched: ${errorText(error)}`;
  return { kind: 'disconnected', end: { code: status.UNAVAILABLE, details } };
}

async function fetchKeySet(url: URL): Promise<{ json: string; maxAgeMs: number; ageMs: number }> {
  const { body, headers } = await download(url, { limitMs: FETCH_LIMIT_MS, maxBytes: MAX_BYTES });
  return { json: decodeText(body), ...cacheTimes(headers) };
}

/** For how long the response is fresh from when it was made, and how long ago that was. */
export function cacheTimes(headers: Headers): { maxAgeMs: number; ageMs: number } {
  const directives = (headers.get('cache-control') ?? '').toLowerCase().split(',');
  const maxAges = directives.flatMap((directive) => {
    const [, seconds] = /^\s*max-age="?(\d+)"?\s*$/.exec(directive) ?? [];
    if (/^\s*no-(?:store|cache)\b/.test(directive)) return [0];
    return seconds === undefined ? [] : [Number(seconds)];
  });
  const maxAgeSeconds = maxAges.length > 0 ? Math.min(...maxAges) : DEFAULT_MAX_AGE_SECONDS;
  // Several caches on the way may each have added the header.
  const ages = (headers.get('age') ?? '')
    .split(',')
    .map((text) => (/^\s*\d+\s*$/.test(text) ? Number(text) : 0));
  return {
    maxAgeMs: Math.min(Math.max(maxAgeSeconds * 1000, MIN_PAUSE_MS), MAX_PAUSE_MS),
    ageMs: Math.min(Math.max(...ages), MAX_AGE_HEADER_SECONDS) * 1000,
  };
}
