export interface SeededRandom {
  next(): number;
  uniform(range: readonly [number, number]): number;
  exponential(perMs: number): number;
  below(limit: number): number;
}
export function seededRandom(seed: number): SeededRandom;
