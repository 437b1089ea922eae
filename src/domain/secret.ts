/**
 * A text that must not reach a log, an error message or a JSON document: printing it gives `[secret]`. Only `reveal`, `utf8`
 * and `base64` return the contents, so every use can be found by searching for these names.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  /** The text as UTF-8 bytes. An HS256 secret is used like this and never decoded, as common JWT libraries do. */
  utf8(): Buffer {
    return Buffer.from(this.#text, 'utf8');
  }

  /** The text decoded from base64. For the master key the settings have checked encoding and length. */
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
