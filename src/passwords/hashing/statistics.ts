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

/** How much the newest sample counts: a change of pace is followed within about ten samples. */
const NEWEST_SHARE = 0.2;

/** Exponential moving average; undefined before the first sample. */
export class MovingAverage {
  #value: number | undefined;

  get value(): number | undefined {
    return this.#value;
  }

  add(sample: number): void {
    this.#value = this.#value === undefined ? sample : this.#value + NEWEST_SHARE * (sample - this.#value);
  }
}
