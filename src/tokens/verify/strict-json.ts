/** A JSON value as `parseStrictJson` gives it: objects have no prototype, so `__proto__` is a member like any other. */
type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: JsonValue | undefined;
}

/** Deeper than any claim needs; keeps the recursion bounded. */
const MAX_DEPTH = 16;

/** RFC 8259 section 6, at the place where the scanner stands. */
const NUMBER_FORM = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

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

/** Leaves the parser; holds no stack and no text of the input. */
const notStrict = Symbol('not strict JSON');

/**
 * Reads one JSON object, or returns null where the text is not RFC 8259 JSON, names a member twice (also when one of
 * the two is written with escapes, at any depth), or nests deeper than 16. `JSON.parse` keeps the last of two equal
 * members and other parsers the first, so two readers of one signed token could see two users (RFC 7515 section 4,
 * RFC 7519 section 4). A number beyond the range of a double comes back as Infinity, for the claim rules to refuse.
 * Linear in the length of the text.
 */
export function parseStrictJson(text: string): JsonObject | null {
  const scanner = new Scanner(text);
  try {
    return scanner.wholeObject();
  } catch (error) {
    if (error === notStrict) return null;
    throw error;
  }
}

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  wholeObject(): JsonObject {
    this.#skipSpace();
    const value = this.#object(1);
    this.#skipSpace();
    return this.#at === this.#text.length ? value : fail();
  }

  #value(depth: number): JsonValue {
    const first = this.#text[this.#at];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    if (first === '"') return this.#string();
    if (first === 't') return this.#word('true', true);
    if (first === 'f') return this.#word('false', false);
    if (first === 'n') return this.#word('null', null);
    return this.#number();
  }

  #object(depth: number): JsonObject {
    this.#take('{');
    if (depth > MAX_DEPTH) fail();
    const members = Object.create(null) as Record<string, JsonValue>;
    this.#skipSpace();
    if (this.#takeIf('}')) return members;
    do {
      this.#skipSpace();
      const name = this.#string();
      if (name in members) fail();
      this.#skipSpace();
      this.#take(':');
      this.#skipSpace();
      members[name] = this.#value(depth + 1);
      this.#skipSpace();
    } while (this.#takeIf(','));
    this.#take('}');
    return members;
  }

  #array(depth: number): JsonValue[] {
    this.#take('[');
    if (depth > MAX_DEPTH) fail();
    const items: JsonValue[] = [];
    this.#skipSpace();
    if (this.#takeIf(']')) return items;
    do {
      this.#skipSpace();
      items.push(this.#value(depth + 1));
      this.#skipSpace();
    } while (this.#takeIf(','));
    this.#take(']');
    return items;
  }

  #string(): string {
    this.#take('"');
    let plainFrom = this.#at;
    let read = '';
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      // Control characters must be escaped (RFC 8259 section 7); the end of the text gives NaN.
      if (!(code >= 0x20)) fail();
      if (code === 0x22) break;
      if (code === 0x5c) {
        read += this.#text.slice(plainFrom, this.#at) + this.#escape();
        plainFrom = this.#at;
      } else {
        this.#at++;
      }
    }
    read += this.#text.slice(plainFrom, this.#at);
    this.#at++;
    return read;
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? fail();
    if (letter !== 'u') {
      this.#at += 2;
      return ESCAPES.get(letter) ?? fail();
    }
    const hex = this.#text.slice(this.#at + 2, this.#at + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(hex)) fail();
    this.#at += 6;
    return String.fromCharCode(parseInt(hex, 16));
  }

  #number(): number {
    NUMBER_FORM.lastIndex = this.#at;
    const digits = NUMBER_FORM.exec(this.#text)?.[0] ?? fail();
    this.#at += digits.length;
    return Number(digits);
  }

  #word<Value extends boolean | null>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) fail();
    this.#at += word.length;
    return value;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #take(character: string): void {
    if (!this.#takeIf(character)) fail();
  }

  #takeIf(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }
}

function fail(): never {
  // A flood of junk must not pay for stack traces, and nothing outside this file sees the value.
  // eslint-disable-next-line @typescript-eslint/only-throw-error
  throw notStrict;
}
