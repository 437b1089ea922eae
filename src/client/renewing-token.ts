import { status } from '@grpc/grpc-js';

import { isLost, PosternError } from './postern-error.ts';

/** The pause between a failed renewal and the next attempt; the previous token is used meanwhile. */
const PAUSE_AFTER_FAILURE_MS = 2_000;
/** A refused token younger than this is kept: a new one would be refused as well, in an endless loop. */
const MIN_LIFE_MS = 1_000;

export interface Renewal<Value> {
  readonly value: Value;
  readonly lifetimeMs: number;
}

interface CachedToken<Value> {
  readonly value: Value;
  readonly issuedAtMs: number;
  readonly renewAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * A token that is renewed before it expires. Concurrent callers share one renewal. Meanwhile, and while the service does not
 * answer, the previous token is used until it expires: a service that hangs delays no call.
 */
export class RenewingToken<Value> {
  readonly #fetch: () => Promise<Renewal<Value>>;
  readonly #renewAtFraction: () => number;
  #cached: CachedToken<Value> | null;
  #fetching: Promise<CachedToken<Value>> | null = null;
  #pausedUntilMs = -Infinity;
  /** Whether the last renewal failed for another reason than a service that does not answer: callers must learn of it. */
  #isRefused = false;

  /** @param renewAtFraction the share of its lifetime after which a token is renewed, 0 to 1 */
  constructor(
    fetch: () => Promise<Renewal<Value>>,
    renewAtFraction: () => number,
    first: Renewal<Value> | null = null,
  ) {
    this.#fetch = fetch;
    this.#renewAtFraction = renewAtFraction;
    this.#cached = first && this.#toCached(first, performance.now());
  }

  /** A token that has not expired. One that is due for renewal is returned at once, and renewed in the background. */
  async current(): Promise<Value> {
    const cached = this.#cached;
    const nowMs = performance.now();
    if (!cached || nowMs >= cached.expiresAtMs || this.#isRefused) return (await this.renewed()).value;
    if (nowMs >= cached.renewAtMs && nowMs >= this.#pausedUntilMs) this.renewed().catch(() => undefined);
    return cached.value;
  }

  /** A token that is not due for renewal before `renewAtMs` (monotonic time, ms); fetches a new one if needed. */
  renewed(): Promise<{ readonly value: Value; readonly renewAtMs: number }> {
    const cached = this.#cached;
    if (cached && performance.now() < cached.renewAtMs) return Promise.resolve(cached);
    this.#fetching ??= this.#renew().finally(() => (this.#fetching = null));
    return this.#fetching;
  }

  /** Drops a token that the service refused; a newer token stays. */
  forget(refused?: Value): void {
    const cached = this.#cached;
    if (!cached || (refused !== undefined && refused !== cached.value)) return;
    if (performance.now() - cached.issuedAtMs >= MIN_LIFE_MS) this.#cached = null;
  }

  /** Uses another token from now on; a renewal that is under way ends first, since what it gets may be older. */
  async replace(token: Renewal<Value>): Promise<void> {
    const receivedAtMs = performance.now();
    while (this.#fetching !== null) await this.#fetching.catch(() => undefined);
    this.#cached = this.#toCached(token, receivedAtMs);
    this.#isRefused = false;
  }

  async #renew(): Promise<CachedToken<Value>> {
    const requestedAtMs = performance.now();
    try {
      const cached = this.#toCached(await this.#fetch(), requestedAtMs);
      this.#cached = cached;
      this.#isRefused = false;
      return cached;
    } catch (error) {
      this.#isRefused = !isUnanswered(error);
      this.#pausedUntilMs = performance.now() + PAUSE_AFTER_FAILURE_MS;
      throw error;
    }
  }

  #toCached({ value, lifetimeMs }: Renewal<Value>, issuedAtMs: number): CachedToken<Value> {
    const renewAtMs = issuedAtMs + lifetimeMs * this.#renewAtFraction();
    return { value, issuedAtMs, renewAtMs, expiresAtMs: issuedAtMs + lifetimeMs };
  }
}

function isUnanswered(error: unknown): boolean {
  return (
    error instanceof PosternError &&
    (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED || isLost(error))
  );
}
