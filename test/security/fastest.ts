/**
 * The duration of one operation, ms: the least of several tries, repeated while it is above the limit. A pause of
 * the collector or of the machine does not recur; slow work does.
 */
export async function fastest(limitMs: number, tries: number, work: () => unknown): Promise<number> {
  let bestMs = Infinity;
  for (let left = tries; left > 0 && bestMs > limitMs; left--) {
    const fromMs = performance.now();
    await work();
    bestMs = Math.min(bestMs, performance.now() - fromMs);
  }
  return bestMs;
}
