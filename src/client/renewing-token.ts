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

interface Held<Value> {
  readonly value: Value;
  readonly madeAtMs: number;
  readonly renewAtMs: number;
  readonly endsAtMs: number;
}

/**
 * Something that ends and is made anew before it does: once for many concurrent callers, and while that fails for want
 * of an answer, they go on with the one they have.
 */
export class RenewingToken<Value> {
  readonly #make: () => Promise<Renewal<Value>>;
  readonly #renewAtShare: () => number;
  #held: Held<Value> | null;
  #making: Promise<Held<Value>> | null = null;
  #pausedUntilMs = -Infinity;

  /** @param renewAtShare after which share of its life a value is renewed, 0 to 1 */
  constructor(
    make: () => Promise<Renewal<Value>>,
    renewAtShare: () => number,
    first: Renewal<Value> | null = null,
  ) {
    this.#make = make;
    this.#renewAtShare = renewAtShare;
    this.#held = first && this.#hold(first, performance.now());
  }

  /** One that is good for a while, or at least still good while another cannot be had. */
  async current(): Promise<Value> {
    const held = this.#held;
    const nowMs = performance.now();
    if (held && nowMs < held.renewAtMs) return held.value;
    if (held && nowMs < held.endsAtMs && nowMs < this.#pausedUntilMs) return held.value;
    try {
      return (await this.renewed()).value;
    } catch (error) {
      if (!held || this.#held !== held || !isForWantOfAnAnswer(error)) throw error;
      if (performance.now() >= held.endsAtMs) throw error;
      this.#pausedUntilMs = performance.now() + PAUSE_AFTER_FAILURE_MS;
      return held.value;
    }
  }

  /** One that is good until `renewAtMs` (monotonic); made anew when the one before is past that. */
  renewed(): Promise<{ readonly value: Value; readonly renewAtMs: number }> {
    const held = this.#held;
    if (held && performance.now() < held.renewAtMs) return Promise.resolve(held);
    this.#making ??= this.#renew().finally(() => (this.#making = null));
    return this.#making;
  }

  /** Takes note that the service refused a value; a newer one than that stays. */
  forget(refused?: Value): void {
    const held = this.#held;
    if (!held || (refused !== undefined && refused !== held.value)) return;
    if (performance.now() - held.madeAtMs >= MIN_LIFE_MS) this.#held = null;
  }

  async #renew(): Promise<Held<Value>> {
    const askedMs = performance.now();
    const held = this.#hold(await this.#make(), askedMs);
    this.#held = held;
    return held;
  }

  #hold({ value, lifetimeMs }: Renewal<Value>, madeAtMs: number): Held<Value> {
    const renewAtMs = madeAtMs + lifetimeMs * this.#renewAtShare();
    return { value, madeAtMs, renewAtMs, endsAtMs: madeAtMs + lifetimeMs };
  }
}

function isForWantOfAnAnswer(error: unknown): boolean {
  return (
    error instanceof PosternError &&
    (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED || isLost(error))
  );
}
