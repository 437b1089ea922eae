/** Median of the newest samples: unlike an average, one slow sample does not move it. */
export class RecentMedian {
  readonly #size: number;
  readonly #newest: number[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  /** Undefined before the first sample. */
  get value(): number | undefined {
    return this.#newest.toSorted((a, b) => a - b)[this.#newest.length >> 1];
  }

  add(sample: number): void {
    this.#newest.push(sample);
    if (this.#newest.length > this.#size) this.#newest.shift();
  }
}
