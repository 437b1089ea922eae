/** A CBOR value (RFC 8949) of the kinds that authenticators send. */
export type CborValue = number | string | boolean | null | Uint8Array | readonly CborValue[] | CborMap;
export type CborMap = ReadonlyMap<CborValue, CborValue>;

/** Bounds the recursion. CTAP2 allows four levels in a message. */
const MAX_DEPTH = 8;

/** Thrown to abort decoding. Carries no stack and no bytes of the input. */
const DECODE_FAILURE = Symbol('not CBOR');

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes the CBOR value at `start`, and says where it ends. Null for anything that CTAP2 does not use: indefinite lengths,
 * tags, floating-point numbers, integers beyond 2^53, maps with keys other than numbers and texts, or with the same key twice
 * (two readers could take different ones). Takes linear time and copies no bytes.
 */
export function decodeCbor(
  bytes: Uint8Array,
  start = 0,
): { readonly value: CborValue; readonly end: number } | null {
  const reader = new Reader(bytes, start);
  try {
    const value = reader.value(0);
    return { value, end: reader.index };
  } catch (error) {
    if (error === DECODE_FAILURE) return null;
    throw error;
  }
}

class Reader {
  index: number;
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.index = start;
  }

  value(depth: number): CborValue {
    if (depth > MAX_DEPTH) return fail();
    const first = this.#take(1).readUInt8();
    const majorType = first >> 5;
    const additional = first & 0x1f;
    if (majorType === 7) return simpleValue(additional);
    if (majorType === 6) return fail();
    const argument = this.#argument(additional);
    switch (majorType) {
      case 0:
        return argument;
      case 1:
        return -1 - argument;
      case 2:
        return this.#take(argument);
      case 3:
        return textOf(this.#take(argument));
      case 4:
        return this.#array(argument, depth);
      default:
        return this.#map(argument, depth);
    }
  }

  #argument(additional: number): number {
    if (additional < 24) return additional;
    switch (additional) {
      case 24:
        return this.#take(1).readUInt8();
      case 25:
        return this.#take(2).readUInt16BE();
      case 26:
        return this.#take(4).readUInt32BE();
      case 27: {
        const wide = this.#take(8).readBigUInt64BE();
        return wide < BigInt(Number.MAX_SAFE_INTEGER) ? Number(wide) : fail();
      }
      default:
        return fail();
    }
  }

  #array(length: number, depth: number): CborValue[] {
    const items: CborValue[] = [];
    // Each item takes at least a byte, so a huge length ends with the input.
    while (items.length < length) items.push(this.value(depth + 1));
    return items;
  }

  #map(size: number, depth: number): CborMap {
    const entries = new Map<CborValue, CborValue>();
    while (entries.size < size) {
      const key = this.value(depth + 1);
      if ((typeof key !== 'number' && typeof key !== 'string') || entries.has(key)) return fail();
      entries.set(key, this.value(depth + 1));
    }
    return entries;
  }

  #take(length: number): Buffer {
    const end = this.index + length;
    if (end > this.#bytes.length) return fail();
    const taken = this.#bytes.subarray(this.index, end);
    this.index = end;
    return taken;
  }
}

function simpleValue(additional: number): CborValue {
  switch (additional) {
    case 20:
      return false;
    case 21:
      return true;
    case 22:
      return null;
    default:
      return fail();
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return fail();
  }
}

function fail(): never {
  // eslint-disable-next-line @typescript-eslint/only-throw-error
  throw DECODE_FAILURE;
}
