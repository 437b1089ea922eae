/** A JSON value from `parseStrictJson`. Objects have no prototype, so `__proto__` is an ordinary member. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: JsonValue | undefined;
}

/** Bounds the recursion. No claim needs this depth. */
const MAX_DEPTH = 16;

/** A number (RFC 8259 section 6) at `lastIndex`. */
const NUMBER_PATTERN = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

const ESCAPES = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

/** Thrown to abort parsing. Carries no stack and no text of the input. */
const PARSE_FAILURE = Symbol('not strict JSON');

/**
 * Parses one JSON object. Returns null when the text is not RFC 8259 JSON, has a duplicate member at any depth (also
 * when one of the names is written with escapes), or is nested deeper than 16 levels. `JSON.parse` keeps the last of two
 * equal members and other parsers the first, so two programs could read different users from one signed token
 * (RFC 7515 section 4, RFC 7519 section 4). A number beyond the range of a double becomes Infinity, which the claim
 * rules refuse. Takes linear time.
 */
export function parseStrictJson(text: string): JsonObject | null {
  const scanner = new Scanner(text);
  try {
    return scanner.document();
  } catch (error) {
    if (error === PARSE_FAILURE) return null;
    throw error;
  }
}

class Scanner {
  readonly #text: string;
  #index = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonObject {
    this.#skipSpace();
    const value = this.#object(1);
    this.#skipSpace();
    return this.#index === this.#text.length ? value : fail();
  }

  #value(depth: number): JsonValue {
    const first = this.#text[this.#index];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    if (first === '"') return this.#string();
    if (first === 't') return this.#literal('true', true);
    if (first === 'f') return this.#literal('false', false);
    if (first === 'n') return this.#literal('null', null);
    return this.#number();
  }

  #object(depth: number): JsonObject {
    this.#expect('{');
    if (depth > MAX_DEPTH) fail();
    const members = Object.create(null) as Record<string, JsonValue>;
    this.#skipSpace();
    if (this.#consumeIf('}')) return members;
    do {
      this.#skipSpace();
      const name = this.#string();
      if (name in members) fail();
      this.#skipSpace();
      this.#expect(':');
      this.#skipSpace();
      members[name] = this.#value(depth + 1);
      this.#skipSpace();
    } while (this.#consumeIf(','));
    this.#expect('}');
    return members;
  }

  #array(depth: number): JsonValue[] {
    this.#expect('[');
    if (depth > MAX_DEPTH) fail();
    const items: JsonValue[] = [];
    this.#skipSpace();
    if (this.#consumeIf(']')) return items;
    do {
      this.#skipSpace();
      items.push(this.#value(depth + 1));
      this.#skipSpace();
    } while (this.#consumeIf(','));
    this.#expect(']');
    return items;
  }

  #string(): string {
    this.#expect('"');
    let unescapedFrom = this.#index;
    let value = '';
    for (;;) {
      const code = this.#text.charCodeAt(this.#index);
      // Control characters must be escaped (RFC 8259 section 7). At the end of the text, `code` is NaN.
      if (!(code >= 0x20)) fail();
      if (code === 0x22) break;
      if (code === 0x5c) {
        value += this.#text.slice(unescapedFrom, this.#index) + this.#escape();
        unescapedFrom = this.#index;
      } else {
        this.#index++;
      }
    }
    value += this.#text.slice(unescapedFrom, this.#index);
    this.#index++;
    return value;
  }

  #escape(): string {
    const letter = this.#text[this.#index + 1] ?? fail();
    if (letter !== 'u') {
      this.#index += 2;
      return ESCAPES.get(letter) ?? fail();
    }
    const hex = this.#text.slice(this.#index + 2, this.#index + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(hex)) fail();
    this.#index += 6;
    return String.fromCharCode(parseInt(hex, 16));
  }

  #number(): number {
    NUMBER_PATTERN.lastIndex = this.#index;
    const digits = NUMBER_PATTERN.exec(this.#text)?.[0] ?? fail();
    this.#index += digits.length;
    return Number(digits);
  }

  #literal<Value extends boolean | null>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#index)) fail();
    this.#index += word.length;
    return value;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#index);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#index++;
    }
  }

  #expect(character: string): void {
    if (!this.#consumeIf(character)) fail();
  }

  #consumeIf(character: string): boolean {
    if (this.#text[this.#index] !== character) return false;
    this.#index++;
    return true;
  }
}

function fail(): never {
  // Not an Error: a flood of malformed tokens must not cost stack traces. The value does not leave this file.
  // eslint-disable-next-line @typescript-eslint/only-throw-error
  throw PARSE_FAILURE;
}
