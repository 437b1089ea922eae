/** How much the newest sample counts: a change of pace is followed within about ten samples. */
const newestShare = 0.2;

/** Exponential moving average; undefined before the first sample. */
export class MovingAverage {
  #value: number | undefined;

  get value(): number | undefined {
    return this.#value;
  }

  add(sample: number): void {
    this.#value = this.#value === undefined ? sample : this.#value + newestShare * (sample - this.#value);
  }
}
