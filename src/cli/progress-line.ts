const EVERY_MS = 100;

/** One line at the bottom of a terminal that tells how far long work is; nothing when standard error is no terminal. */
export class ProgressLine {
  readonly #out: NodeJS.WriteStream;
  #nextMs = 0;
  #shown = false;

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
  }

  /** Shows what `text` gives, at most ten times a second. */
  show(text: () => string): void {
    if (!this.#out.isTTY || performance.now() < this.#nextMs) return;
    this.#nextMs = performance.now() + EVERY_MS;
    this.#out.write(`\r\u001b[K${text()}`);
    this.#shown = true;
  }

  /** Makes room for other lines. */
  clear(): void {
    if (this.#shown) this.#out.write('\r\u001b[K');
    this.#shown = false;
  }
}
