import { constants, type Http2Session } from 'node:http2';

import { type Bucket, refill } from '../../domain/concurrency/token-bucket.ts';

/**
 * The rate limit of resets on one connection. nghttp2 ends a connection after 1,000 resets plus 33 per second, without
 * finishing its calls, and Node 20 has no option for that. A legitimate client whose deadlines expire reaches this
 * limit within a second: a gateway with 256 concurrent calls and a deadline of 200 ms sends 1,280 resets per second
 * while the server is blocked. So the connection is retired earlier and gracefully. The difference between the two
 * limits allows for resets that are already in transit.
 */
const RESET_LIMIT = { max: 500, intervalMs: 1_000 / 33 };
/** Calls in progress on a retired connection may finish within this time. */
const GRACE_MS = 60_000;

/**
 * The limits of nghttp2 itself, which still ends a connection whose resets arrive too fast to be counted here. Node
 * supports these options from 22.10 on; earlier versions ignore them.
 */
export const RESET_OPTIONS = { streamResetBurst: 2_000, streamResetRate: 66 };

/**
 * Retires connections on which too many calls were reset: it sends GOAWAY, and the calls in progress are still
 * answered. Clients open a new connection for new calls. Calls that were sent before the GOAWAY arrived were not
 * processed, and clients retry them. After a GOAWAY nghttp2 counts no resets and opens no streams, so a flood of resets
 * has no effect.
 */
export class ResetLimit {
  readonly #buckets = new WeakMap<Http2Session, Bucket>();
  #retired = 0;

  /** The number of retired connections. */
  get retired(): number {
    return this.#retired;
  }

  /** Counts a reset call of this connection. */
  count(session: Http2Session | undefined): void {
    if (!session || session.closed || session.destroyed) return;
    const nowMs = performance.now();
    const bucket = this.#buckets.get(session) ?? { tokens: RESET_LIMIT.max, filledAtMs: nowMs };
    refill(bucket, RESET_LIMIT, nowMs);
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
