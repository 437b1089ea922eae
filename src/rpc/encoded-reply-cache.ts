import { EncodedMessage } from './encoded-message.ts';

const DEFAULT_CAPACITY = 2_048;

/**
 * Caches encoded replies by their source object: a token that is verified again has the same claims object, and so the
 * same reply. The cache has two generations; the older one is dropped when the newer is full. Replies in use stay, and
 * there are never more than twice `capacity` (about 2 MB).
 */
export class EncodedReplyCache<Source extends object> {
  readonly #capacity: number;
  #newer = new Map<Source, EncodedMessage>();
  #older = new Map<Source, EncodedMessage>();

  constructor(capacity = DEFAULT_CAPACITY) {
    this.#capacity = capacity;
  }

  /** @param encode encodes the reply on a cache miss; must depend on `source` only */
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
