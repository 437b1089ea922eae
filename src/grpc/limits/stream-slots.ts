import type { Http2Session } from 'node:http2';

import type { StreamLimits } from './limits.ts';
import { Tally } from '../../domain/tally.ts';

/** The counted kinds of streams: those of callers without a credential, and those of WatchTrust. */
export interface OpenStreams {
  readonly anonymous: StreamSlots;
  readonly watching: StreamSlots;
}

/**
 * Limits the open streams of one kind: on a connection, from an address and in the process. A stream costs about 12 KB
 * for as long as its caller keeps it open, and one connection may have 256.
 */
export class StreamSlots {
  readonly #limits: StreamLimits;
  readonly #addressOf: (session: Http2Session) => string | null;
  readonly #bySession = new Tally<Http2Session>();
  readonly #byAddress = new Tally<string>();
  #open = 0;

  /** @param addressOf the source to which the limit of one address applies; null where it does not apply */
  constructor(limits: StreamLimits, addressOf: (session: Http2Session) => string | null) {
    this.#limits = limits;
    this.#addressOf = addressOf;
  }

  get open(): number {
    return this.#open;
  }

  /** @returns a function that releases the slot, once; null when no slot is free */
  take(session: Http2Session): (() => void) | null {
    const { perConnection, perAddress, perProcess } = this.#limits;
    const address = this.#addressOf(session);
    if (this.#open >= perProcess || this.#bySession.of(session) >= perConnection) return null;
    if (address !== null && this.#byAddress.of(address) >= perAddress) return null;
    this.#open += 1;
    this.#bySession.add(session);
    if (address !== null) this.#byAddress.add(address);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#open -= 1;
      this.#bySession.subtract(session);
      if (address !== null) this.#byAddress.subtract(address);
    };
  }
}
