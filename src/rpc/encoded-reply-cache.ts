import { EncodedMessage } from './encoded-message.ts';

const DEFAULT_CAPACITY = 2_048;

/**
 * Replies that were encoded before, by the object that they are made of: a token that is seen again has the same claims
 * object, and its reply the same bytes. Of two generations the older one goes when the newer is full, so that a reply
 * that is asked for stays, and there are never more than twice `room` (about 2 MB).
 */
export class EncodedReplyCache<Source extends object> {
  readonly #capacity: number;
  #newer = new Map<Source, EncodedMessage>();
  #older = new Map<Source, EncodedMessage>();

  constructor(capacity = DEFAULT_CAPACITY) {
    this.#capacity = capacity;
  }

  /** @param encode makes the reply at its first sight; equal for the same source each time */
  of(source: Source, encode: () => Uint8Array): EncodedMessage {
    const known = this.#newer.get(source);
    if (known !== undefined) return known;
    const reply = this.#older.get(source) ?? new EncodedMessage(encode());
    if (this.#newer.size >= this.#capacity) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(source, reply);
    return reply;
  }
}
