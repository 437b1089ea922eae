import { Metadata, status } from '@grpc/grpc-js';

import { errorText } from '../domain/error-text.ts';
import { Backoff } from '../domain/concurrency/backoff.ts';
import type { Revocation } from '../domain/revocation-set.ts';
import type { ClaimsPolicy } from '../domain/claims/claims.ts';
import { CLOCK_TOLERANCE_MS } from '../domain/database-clock.ts';
import { MAX_TIMER_MS } from '../domain/concurrency/timeout.ts';
import type { TrustedKeys, TrustServiceClient, TrustUpdate } from '../generated/postern/v1/trust.ts';
import type { RelayedStream } from './relayed-stream.ts';
import type { RelayPath } from './relay-path.ts';
import type { TrustBundle } from './trust-bundle.ts';
import { readTrustedKeys } from './trusted-keys.ts';
import { revocationOf, type StreamEnd, WatchTrustCall } from './watch-trust-call.ts';

const MAX_RETRY_MS = 2_000;
const PURGE_EVERY_MS = 1_000;

/** The credential that authenticates a WatchTrust call. */
export interface WatchCredential {
  /** The `authorization` metadata for a new stream, and the monotonic time (ms) at which to replace that stream. */
  next(): Promise<{ authorization: string; renewAtMs: number }>;
  /** The server refused the credential: `next` has to return another one. */
  forget(): void;
}

export type SourceEvent =
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly end: StreamEnd }
  /** None of the received keys is usable, and the previous ones stay; or a relay cannot place what it received. */
  | { readonly kind: 'unusable'; readonly error: unknown };

export interface StreamTrustSourceOptions {
  readonly client: TrustServiceClient;
  readonly bundle: TrustBundle;
  readonly credential: WatchCredential | null;
  readonly report: (event: SourceEvent) => void;
  /** In a relay, whose own watchers are served from the bundle. */
  readonly relay?: { readonly path: RelayPath; readonly stream: RelayedStream } | null;
  /** From 0 to 1, for the jitter. */
  readonly random?: () => number;
  /** Unix time, ms: the clock by which tokens are judged. */
  readonly nowMs?: () => number;
}

/**
 * Feeds a trust bundle from WatchTrust and never gives up. A lost stream is reopened from its cursor, first immediately,
 * then with backoff and jitter. A stream whose credential expires soon is replaced: the second stream opens before the
 * first is cancelled, so that no update is missed.
 */
export class StreamTrustSource {
  readonly #options: StreamTrustSourceOptions;
  #stream: WatchTrustCall | null = null;
  #cursor = '';
  #policy: ClaimsPolicy | null = null;
  #complete = false;
  #connected = false;
  /** No delay, then 25 to 50 ms, 50 to 100 ms and so on, 1 to 2 s at most. */
  readonly #backoff: Backoff;
  #stopped = false;
  #retryTimer: NodeJS.Timeout | undefined;
  #renewTimer: NodeJS.Timeout | undefined;
  #purgeTimer: NodeJS.Timeout | undefined;
  /** The wall clock minus the monotonic clock at the last purge, ms. */
  #clockOffsetMs = Infinity;
  /** How often everything was requested anew, after the clock was set back. */
  #restarts = 0;
  /** The tail of the update queue: updates apply in order, although importing keys is asynchronous. */
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

  /** Whether a stream is open and has delivered an update. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Issuer, audiences and time limits from the service; null before the first keys. The same object while unchanged. */
  get policy(): ClaimsPolicy | null {
    return this.#policy;
  }

  start(): void {
    // Revocations are purged by the clock that verifies tokens: by that clock their tokens have expired.
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
    // A relay keeps them for longer, since its watchers may have the right time while its own clock is ahead. By a clock that is
    // further ahead than a token lasts, it accepts no watcher's token.
    const keptSeconds = this.#options.relay ? (this.#policy?.maxLifetimeSeconds ?? 0) : 0;
    this.#options.bundle.purge(this.#nowMs() / 1000 - keptSeconds);
  }

  /**
   * After the clock was set back: expired tokens are valid again, so the purged revocations are read once more. No token
   * is accepted before.
   */
  #restart(): void {
    this.#applying = this.#applying.then(() => {
      if (this.#stopped) return;
      this.#restarts += 1;
      this.#cursor = '';
      this.#complete = false;
      this.#options.bundle.unconfirm();
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
    const stream: WatchTrustCall = new WatchTrustCall(
      this.#options.client,
      { cursor: this.#cursor, relayId: this.#options.relay?.path.id ?? null, metadata },
      {
        update: (update) => {
          if (!hasOpened) {
            hasOpened = true;
            previous?.cancel();
            this.#onOpened();
          }
          const fault = this.#relayFault(update);
          if (fault === null) this.#enqueue(update);
          else if (this.#stream === stream)
            this.#onLost({ code: status.FAILED_PRECONDITION, details: fault });
          else stream.cancel();
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

  /** A stream did not open, or ended. If the stream that it should replace is still open, that one stays in use. */
  #onFailed(previous: WatchTrustCall | null, end: StreamEnd): void {
    if (this.#stopped) return;
    // The key of the token may have been revoked, long before the token was due for renewal.
    if (end.code === status.UNAUTHENTICATED) this.#options.credential?.forget();
    if (previous && !previous.ended) {
      this.#stream = previous;
      this.#renewAt(performance.now() + MAX_RETRY_MS);
    } else {
      this.#onLost(end);
    }
  }

  #onOpened(): void {
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
    // Half of the delay is random, so that a thousand subscribers of one server do not reconnect at once.
    this.#retryTimer = setTimeout(() => void this.#open(), this.#backoff.next());
  }

  /** Why this relay must leave the upstream that sent the update; null when it need not. */
  #relayFault({ update }: TrustUpdate): string | null {
    const { relay } = this.#options;
    return relay && update?.$case === 'heartbeat' ? relay.path.follow(update.value.relayPath) : null;
  }

  #enqueue(update: TrustUpdate): void {
    const receivedMs = performance.now();
    // Revocations take effect immediately; the rest of the update waits in order behind keys being imported.
    let revocations: Revocation[] = [];
    if (update.update?.$case === 'revocations') {
      revocations = update.update.value.revocations.map(revocationOf).filter((one) => one !== null);
      (this.#options.relay?.stream ?? this.#options.bundle).revoke(revocations);
    }
    const restarts = this.#restarts;
    this.#applying = this.#applying.then(async () => {
      // It waited behind keys while everything was requested anew: it continues a list that does not count any more.
      if (restarts === this.#restarts) await this.#apply(update, revocations, receivedMs);
      else this.#options.relay?.stream.hold(revocations);
    });
  }

  async #apply(
    { update, cursor }: TrustUpdate,
    revocations: readonly Revocation[],
    receivedMs: number,
  ): Promise<void> {
    switch (update?.$case) {
      case 'keys':
        await this.#applyKeys(update.value);
        break;
      case 'revocations':
        this.#options.relay?.stream.hold(revocations);
        if (update.value.complete) {
          this.#complete = true;
          if (!this.#relayed(cursor, update.value.snapshot)) return;
        }
        break;
      case 'heartbeat':
        this.#backoff.reset();
        if (this.#complete && !this.#relayed(cursor, false)) return;
        // The staleness of the server adds to ours: it may be cut off from its database.
        if (this.#complete && this.#policy) this.#options.bundle.confirm(receivedMs - update.value.newsAgeMs);
        break;
      case undefined:
        break;
      default:
        update satisfies never;
    }
    if (this.#complete && cursor !== '') this.#cursor = cursor;
  }

  /** In a relay, passes on what is complete. False when it cannot: then nothing later may count as known either. */
  #relayed(cursor: string, isSnapshot: boolean): boolean {
    try {
      this.#options.relay?.stream.complete(cursor, isSnapshot);
      return true;
    } catch (error) {
      this.#options.report({ kind: 'unusable', error });
      return false;
    }
  }

  async #applyKeys(keys: TrustedKeys): Promise<void> {
    try {
      const { ring, policy } = await readTrustedKeys(keys);
      // The object stays the same while its content does: the cache of verified tokens compares it by identity.
      if (JSON.stringify(policy) !== JSON.stringify(this.#policy)) this.#policy = Object.freeze(policy);
      this.#options.bundle.replaceKeys(ring);
    } catch (error) {
      this.#options.report({ kind: 'unusable', error });
    }
  }
}

/** The gRPC status of a failed token request: the service was not reached, or it refused the account. */
function codeOf(error: unknown): status {
  const { code } = error as { code?: status };
  return code !== undefined && code in status ? code : status.UNKNOWN;
}
