import { status } from '@grpc/grpc-js';

import { isLost, PosternError } from './postern-error.ts';

/** How long the token before goes on being used after a renewal failed, until the next attempt. */
const PAUSE_AFTER_FAILURE_MS = 2_000;
/** A refusal of a token that is newer than this makes no other: it would be refused as well, over and over. */
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
 * Something that ends and is made anew before it does: once for many concurrent callers, and while that fails for want
 * of an answer, they go on with the one they have.
 */
export class RenewingToken<Value> {
  readonly #fetch: () => Promise<Renewal<Value>>;
  readonly #renewAtFraction: () => number;
  #cached: CachedToken<Value> | null;
  #fetching: Promise<CachedToken<Value>> | null = null;
  #pausedUntilMs = -Infinity;

  /** @param renewAtFraction after which share of its life a value is renewed, 0 to 1 */
  constructor(
    fetch: () => Promise<Renewal<Value>>,
    renewAtFraction: () => number,
    first: Renewal<Value> | null = null,
  ) {
    this.#fetch = fetch;
    this.#renewAtFraction = renewAtFraction;
    this.#cached = first && this.#toCached(first, performance.now());
  }

  /** One that is good for a while, or at least still good while another cannot be had. */
  async current(): Promise<Value> {
    const cached = this.#cached;
    const nowMs = performance.now();
    if (cached && nowMs < cached.renewAtMs) return cached.value;
    if (cached && nowMs < cached.expiresAtMs && nowMs < this.#pausedUntilMs) return cached.value;
    try {
      return (await this.renewed()).value;
    } catch (error) {
      if (!cached || this.#cached !== cached || !isUnanswered(error)) throw error;
      if (performance.now() >= cached.expiresAtMs) throw error;
      this.#pausedUntilMs = performance.now() + PAUSE_AFTER_FAILURE_MS;
      return cached.value;
    }
  }

  /** One that is good until `renewAtMs` (monotonic); made anew when the one before is past that. */
  renewed(): Promise<{ readonly value: Value; readonly renewAtMs: number }> {
    const cached = this.#cached;
    if (cached && performance.now() < cached.renewAtMs) return Promise.resolve(cached);
    this.#fetching ??= this.#renew().finally(() => (this.#fetching = null));
    return this.#fetching;
  }

  /** Takes note that the service refused a value; a newer one than that stays. */
  forget(refused?: Value): void {
    const cached = this.#cached;
    if (!cached || (refused !== undefined && refused !== cached.value)) return;
    if (performance.now() - cached.issuedAtMs >= MIN_LIFE_MS) this.#cached = null;
  }

  async #renew(): Promise<CachedToken<Value>> {
    const requestedAtMs = performance.now();
    const cached = this.#toCached(await this.#fetch(), requestedAtMs);
    this.#cached = cached;
    return cached;
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
