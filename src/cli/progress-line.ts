const INTERVAL_MS = 100;

/** A progress line at the bottom of the terminal. Prints nothing when standard error is not a terminal. */
export class ProgressLine {
  readonly #out: NodeJS.WriteStream;
  #nextMs = 0;
  #shown = false;

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
  }

  /** Prints the result of `text`, at most ten times a second. */
  show(text: () => string): void {
    if (!this.#out.isTTY || performance.now() < this.#nextMs) return;
    this.#nextMs = performance.now() + INTERVAL_MS;
    this.#out.write(`\r\u001b[K${text()}`);
    this.#shown = true;
  }

  /** Removes the line, so that other lines can be printed. */
  clear(): void {
    if (this.#shown) this.#out.write('\r\u001b[K');
    this.#shown = false;
  }
}
