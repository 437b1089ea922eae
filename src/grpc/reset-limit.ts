import { constants, type Http2Session } from 'node:http2';

import { type Bucket, refill } from '../domain/token-bucket.ts';

/**
 * nghttp2 ends a connection after 1,000 resets and 33 more a second, in the middle of its calls, and Node 20 cannot be
 * told otherwise. An honest caller whose deadlines expire gets there within a second: a gateway with 256 calls at once
 * and 200 ms for each sends 1,280 resets a second while a process stands still. So the connection is retired before, in
 * peace; what lies between the two is room for resets that are on their way.
 */
const RESETS = { max: 500, intervalMs: 1_000 / 33 };
/** Calls under way on a retired connection may end within this time. */
const GRACE_MS = 60_000;

/**
 * For nghttp2 itself, where Node takes them (from 22.10 on; earlier ones do not look at them): it still ends a connection
 * whose resets come too fast to be counted here.
 */
export const RESET_OPTIONS = { streamResetBurst: 2_000, streamResetRate: 66 };

/**
 * Retires connections on which too many calls were reset: GOAWAY, and the calls under way are answered. New ones go over
 * a new connection; those that crossed the GOAWAY were not looked at, and clients repeat them. After it nghttp2 counts
 * resets no more and opens no stream, so a flood of them gains nothing.
 */
export class ResetLimit {
  readonly #buckets = new WeakMap<Http2Session, Bucket>();
  #retired = 0;

  /** How many connections were retired. */
  get retired(): number {
    return this.#retired;
  }

  /** A call was reset on this connection. */
  note(session: Http2Session | undefined): void {
    if (!session || session.closed || session.destroyed) return;
    const nowMs = performance.now();
    const bucket = this.#buckets.get(session) ?? { tokens: RESETS.max, filledAtMs: nowMs };
    refill(bucket, RESETS, nowMs);
    bucket.tokens -= 1;
    this.#buckets.set(session, bucket);
    if (bucket.tokens < 0) this.#retire(session);
  }

  #retire(session: Http2Session): void {
    this.#retired += 1;
    session.close();
    const timer = setTimeout(() => session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM), GRACE_MS);
    timer.unref();
    session.once('close', () => clearTimeout(timer));
  }
}
