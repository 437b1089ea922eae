/**
 * Random numbers that a seed repeats (mulberry32).
 *
 * @param {number} seed a whole number
 */
export function seededRandom(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    uniform: ([low, high]) => low + (high - low) * next(),
    /** The time to the next of events that come independently, `perMs` on average. */
    exponential: (perMs) => -Math.log(1 - next()) / perMs,
    below: (limit) => Math.floor(next() * limit),
  };
}
