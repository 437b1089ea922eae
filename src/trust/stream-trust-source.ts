import { Metadata, status } from '@grpc/grpc-js';

import { errorText } from '../domain/error-text.ts';
import { Backoff } from '../domain/concurrency/backoff.ts';
import type { ClaimsPolicy } from '../domain/claims.ts';
import { CLOCK_TOLERANCE_MS } from '../domain/database-clock.ts';
import { MAX_TIMER_MS } from '../domain/concurrency/timeout.ts';
import type { TrustedKeys, TrustServiceClient, TrustUpdate } from '../generated/postern/v1/trust.ts';
import type { TrustBundle } from './trust-bundle.ts';
import { readTrustedKeys } from './trusted-keys.ts';
import { revocationOf, type StreamEnd, TrustStream } from './watch-trust-call.ts';

const MAX_RETRY_MS = 2_000;
const PURGE_EVERY_MS = 1_000;

/** What a watcher shows of itself when the server wants to know who it is. */
export interface WatchCredential {
  /** The `authorization` metadata for a new stream, and the monotonic time (ms) by which to open another with a fresh one. */
  next(): Promise<{ authorization: string; renewAtMs: number }>;
  /** The server refused what it was shown: the next has to be another. */
  forget(): void;
}

export type SourceEvent =
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly end: StreamEnd }
  /** The keys that came are of no use; the ones before stay. */
  | { readonly kind: 'unusable'; readonly error: unknown };

export interface StreamTrustSourceOptions {
  readonly client: TrustServiceClient;
  readonly bundle: TrustBundle;
  readonly credential: WatchCredential | null;
  readonly report: (event: SourceEvent) => void;
  /** From 0 to 1, for the jitter. */
  readonly random?: () => number;
  /** Unix time, ms: the clock by which tokens are judged. */
  readonly nowMs?: () => number;
}

/**
 * Feeds a trust bundle from WatchTrust and never gives up: a lost stream is taken up again at once from its cursor, then
 * with growing pauses and jitter. A stream whose credential ends soon is replaced by a second one before the first is let
 * go, so that no news are missed in between.
 */
export class StreamTrustSource {
  readonly #options: StreamTrustSourceOptions;
  #stream: TrustStream | null = null;
  #cursor = '';
  #policy: ClaimsPolicy | null = null;
  #complete = false;
  #connected = false;
  /** None, then 25 to 50 ms, 50 to 100 and so on, 1 to 2 s at most. */
  readonly #backoff: Backoff;
  #stopped = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #renewTimer: NodeJS.Timeout | undefined;
  #purgeTimer: NodeJS.Timeout | undefined;
  /** Where the clock stood beside the monotonic one at the last purge, ms. */
  #clockOffsetMs = Infinity;
  /** Updates are taken in order, although keys take a moment to import. */
  #applying: Promise<void> = Promise.resolve();

  constructor(options: StreamTrustSourceOptions) {
    this.#options = options;
    const random = options.random ?? Math.random;
    this.#backoff = new Backoff({
      firstMs: 50,
      maxMs: MAX_RETRY_MS,
      startsAtOnce: true,
      jitter: 0.5,
      random,
    });
  }

  /** Whether a stream is open and has told something. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Issuer, audiences and times as the service told them; null before the first stream. One object while nothing changes. */
  get policy(): ClaimsPolicy | null {
    return this.#policy;
  }

  start(): void {
    // Revocations are forgotten by the clock that judges tokens: by it the tokens have expired.
    this.#clockOffsetMs = this.#nowMs() - performance.now();
    this.#purgeTimer = setInterval(() => this.#purge(), PURGE_EVERY_MS);
    this.#purgeTimer.unref();
    void this.#open();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#renewTimer);
    clearInterval(this.#purgeTimer);
    this.#stream?.cancel();
    this.#stream = null;
    this.#connected = false;
  }

  #purge(): void {
    const clockOffsetMs = this.#nowMs() - performance.now();
    if (clockOffsetMs < this.#clockOffsetMs - CLOCK_TOLERANCE_MS) this.#restart();
    this.#clockOffsetMs = clockOffsetMs;
    this.#options.bundle.purge(this.#nowMs() / 1000);
  }

  /** For a clock that was set back: tokens that had expired are good again, and what was forgotten with them is asked for. */
  #restart(): void {
    this.#applying = this.#applying.then(() => {
      if (this.#stopped) return;
      this.#cursor = '';
      this.#complete = false;
      if (this.#stream)
        this.#onLost({ code: status.CANCELLED, details: 'the clock of this machine was set back' });
    });
  }

  #nowMs(): number {
    return (this.#options.nowMs ?? Date.now)();
  }

  async #open(): Promise<void> {
    let credential: Awaited<ReturnType<WatchCredential['next']>> | null;
    try {
      credential = (await this.#options.credential?.next()) ?? null;
    } catch (error) {
      this.#onFailed(this.#stream, {
        code: codeOf(error),
        details: `no access token for the stream: ${errorText(error)}`,
      });
      return;
    }
    if (this.#stopped) return;
    const metadata = new Metadata();
    if (credential) metadata.set('authorization', credential.authorization);
    const previous = this.#stream;
    let hasOpened = false;
    const stream: TrustStream = new TrustStream(
      this.#options.client,
      { cursor: this.#cursor, metadata },
      {
        update: (update) => {
          if (!hasOpened) {
            hasOpened = true;
            previous?.cancel();
            this.#onOpened();
          }
          this.#enqueue(update);
        },
        end: (end) => {
          if (this.#stream === stream) this.#onFailed(hasOpened ? null : previous, end);
        },
      },
    );
    this.#stream = stream;
    this.#renewAt(credential?.renewAtMs ?? Infinity);
  }

  #renewAt(renewAtMs: number): void {
    clearTimeout(this.#renewTimer);
    if (renewAtMs === Infinity) return;
    const delayMs = Math.min(Math.max(0, renewAtMs - performance.now()), MAX_TIMER_MS);
    this.#renewTimer = setTimeout(() => void this.#open(), delayMs);
  }

  /** A stream did not open or ended. While the one that it should replace is still good, that one goes on. */
  #onFailed(previous: TrustStream | null, end: StreamEnd): void {
    if (this.#stopped) return;
    // Its key may have been revoked, long before it would have been renewed.
    if (end.code === status.UNAUTHENTICATED) this.#options.credential?.forget();
    if (previous && !previous.ended) {
      this.#stream = previous;
      this.#renewAt(performance.now() + MAX_RETRY_MS);
    } else {
      this.#onLost(end);
    }
  }

  #onOpened(): void {
    this.#backoff.reset();
    if (this.#connected) return;
    this.#connected = true;
    this.#options.report({ kind: 'connected' });
  }

  #onLost(end: StreamEnd): void {
    this.#stream?.cancel();
    this.#stream = null;
    clearTimeout(this.#renewTimer);
    this.#connected = false;
    this.#options.report({ kind: 'disconnected', end });
    // Half of the delay is random, so that a thousand watchers of one server do not come back in one instant.
    this.#retryTimer = setTimeout(() => void this.#open(), this.#backoff.next());
  }

  #enqueue(update: TrustUpdate): void {
    const receivedMs = performance.now();
    // Revocations count at once; only what needs the order waits for keys under import.
    if (update.update?.$case === 'revocations') {
      const revocations = update.update.value.revocations.map(revocationOf);
      this.#options.bundle.revoke(revocations.filter((revocation) => revocation !== null));
    }
    this.#applying = this.#applying.then(() => this.#apply(update, receivedMs));
  }

  async #apply({ update, cursor }: TrustUpdate, receivedMs: number): Promise<void> {
    switch (update?.$case) {
      case 'keys':
        await this.#applyKeys(update.value);
        break;
      case 'revocations':
        if (update.value.complete) this.#complete = true;
        break;
      case 'heartbeat':
        // Our news are as old as the server's own: it may be cut off from its database.
        if (this.#complete && this.#policy) this.#options.bundle.confirm(receivedMs - update.value.newsAgeMs);
        break;
      case undefined:
        break;
      default:
        update satisfies never;
    }
    if (this.#complete && cursor !== '') this.#cursor = cursor;
  }

  async #applyKeys(keys: TrustedKeys): Promise<void> {
    try {
      const { ring, policy } = await readTrustedKeys(keys);
      // The same object while nothing changes: tokens are remembered by it.
      if (JSON.stringify(policy) !== JSON.stringify(this.#policy)) this.#policy = Object.freeze(policy);
      this.#options.bundle.replaceKeys(ring);
    } catch (error) {
      this.#options.report({ kind: 'unusable', error });
    }
  }
}

/** Of a service that was not reached, or that refused the account. */
function codeOf(error: unknown): status {
  const { code } = error as { code?: status };
  return code !== undefined && code in status ? code : status.UNKNOWN;
}
