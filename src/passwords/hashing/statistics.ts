/** Median of the latest samples. Unlike an average, it does not move with a single outlier. */
export class RecentMedian {
  readonly #size: number;
  readonly #samples: number[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  /** Undefined before the first sample. */
  get value(): number | undefined {
    return this.#samples.toSorted((a, b) => a - b)[this.#samples.length >> 1];
  }

  add(sample: number): void {
    this.#samples.push(sample);
    if (this.#samples.length > this.#size) this.#samples.shift();
  }
}

/** Weight of the latest sample: the average follows a change within about ten samples. */
const SMOOTHING_FACTOR = 0.2;

/** Exponential moving average; undefined before the first sample. */
export class MovingAverage {
  #value: number | undefined;

  get value(): number | undefined {
    return this.#value;
  }

  add(sample: number): void {
    this.#value =
      this.#value === undefined ? sample : this.#value + SMOOTHING_FACTOR * (sample - this.#value);
  }
}
