/**
 * How well one threshold separates two samples of times: 0.5 not at all, 1 always. The area under the ROC
 * curve (Mann-Whitney U over its maximum), folded, since an attacker would use either direction.
 */
export function auc(a: readonly number[], b: readonly number[]): number {
  let wins = 0;
  for (const x of a) for (const y of b) wins += x > y ? 1 : x === y ? 0.5 : 0;
  const area = wins / (a.length * b.length);
  return Math.max(area, 1 - area);
}
