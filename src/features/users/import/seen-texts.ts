import { createHash } from 'node:crypto';

const INITIAL_SLOTS = 1024;

/**
 * The e-mails or ids of an import, and where each appeared first. A text is kept as 64 bits of its SHA-256 in arrays
 * outside the heap, 12 bytes a slot and at most 48 bytes a text. The probability of any collision among ten million texts
 * is about 3 in a million.
 */
export class SeenTexts {
  #digests = new BigUint64Array(INITIAL_SLOTS);
  /** Position plus one; 0 for an empty slot. */
  #positions = new Uint32Array(INITIAL_SLOTS);
  #size = 0;

  /** Adds a text. @returns the position at which it was added before; undefined when it is new */
  add(text: string, position = 0): number | undefined {
    const digest = digestOf(text);
    const slot = this.#slotOf(digest);
    const found = this.#positions[slot] ?? 0;
    if (found !== 0) return found - 1;
    this.#digests[slot] = digest;
    this.#positions[slot] = position + 1;
    this.#size += 1;
    if (this.#size * 2 > this.#positions.length) this.#grow();
    return undefined;
  }

  has(text: string): boolean {
    return this.#positions[this.#slotOf(digestOf(text))] !== 0;
  }

  /** The slot of a digest, or the empty one where it belongs: linear probing. The digest itself is uniformly distributed. */
  #slotOf(digest: bigint): number {
    const mask = this.#positions.length - 1;
    let slot = Number(digest & 0xffff_ffffn) & mask;
    while (this.#positions[slot] !== 0 && this.#digests[slot] !== digest) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [digests, positions] = [this.#digests, this.#positions];
    this.#digests = new BigUint64Array(digests.length * 2);
    this.#positions = new Uint32Array(positions.length * 2);
    positions.forEach((position, index) => {
      if (position === 0) return;
      const digest = digests[index] ?? 0n;
      const slot = this.#slotOf(digest);
      this.#digests[slot] = digest;
      this.#positions[slot] = position;
    });
  }
}

function digestOf(text: string): bigint {
  return createHash('sha256').update(text).digest().readBigUInt64BE(0);
}
