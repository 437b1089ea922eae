const FIRST_MS = 0.01;
const STEP = Math.log(1.005);

/** Times in classes half a per cent wide, since a million verifiers have too many to keep. Minimum and maximum are exact. */
export class Histogram {
  #classes = new Float64Array(6_000);
  count = 0;
  max = 0;

  add(ms) {
    this.#classes[Math.max(0, Math.ceil(Math.log(ms / FIRST_MS) / STEP))] += 1;
    this.count += 1;
    if (ms > this.max) this.max = ms;
  }

  /** @param {number} share 0 to 1 @returns NaN without times */
  quantile(share) {
    if (this.count === 0) return NaN;
    let left = share * this.count;
    for (let index = 0; index < this.#classes.length; index++) {
      left -= this.#classes[index];
      if (left <= 0) return Math.min(this.max, FIRST_MS * Math.exp(index * STEP));
    }
    return this.max;
  }
}
