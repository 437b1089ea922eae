/**
 * A text that must not reach a log, an error message or a JSON document: every way of printing it says `[secret]`.
 * Only `reveal`, `utf8` and `base64` give the contents, so a reader can search for each place that takes them.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  /** The text as UTF-8 bytes. An HS256 secret is used so, never decoded, as the JWT libraries of the tutorials do. */
  utf8(): Buffer {
    return Buffer.from(this.#text, 'utf8');
  }

  /** The bytes that the text spells in base64; the settings have checked the spelling and length of the master key. */
  base64(): Buffer {
    return Buffer.from(this.#text, 'base64');
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}
