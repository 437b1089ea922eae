// Two servers that are the same can differ by 15 % here, so a figure is never one server's: it is a ratio of two that took
// turns, in fresh processes, beside a third that is the baseline once more and shows what the ratio is worth.

/** A ratio of two equal servers further from 1 than this says that the machine was not quiet enough for a verdict. */
const CONTROL_MAY_BE_OFF = 0.1;

/**
 * One sample of a server: `calls` in `seconds`, for which its process took `cpuSeconds`.
 * @typedef {{ calls: number, seconds: number, cpuSeconds: number }} Sample
 */

/**
 * Samples baseline, contender and once more the baseline, `pairs` times, in an order that turns with each pair.
 *
 * @param {{ baseline: () => Promise<Sample>, contender: () => Promise<Sample>, pairs: number }} options
 * @returns {Promise<{ baseline: Sample, contender: Sample, control: Sample }[]>}
 */
export async function samplePairs({ baseline, contender, pairs }) {
  const rounds = [];
  const turns = [
    ['baseline', baseline],
    ['contender', contender],
    ['control', baseline],
  ];
  for (let pair = 0; pair < pairs; pair++) {
    const round = {};
    for (let turn = 0; turn < turns.length; turn++) {
      const [name, sample] = turns[(pair + turn) % turns.length];
      round[name] = await sample();
    }
    rounds.push(round);
  }
  return rounds;
}

/**
 * The ratios of all pairs; above 1 the contender is the better one, in throughput and in processor time alike. It is held
 * against the mean of its pair's two baselines.
 */
export function ratiosOf(rounds) {
  const rate = ({ calls, seconds }) => calls / seconds;
  const callsPerCpu = ({ calls, cpuSeconds }) => calls / cpuSeconds;
  const against = (figure) => ({
    ratio: spread(
      rounds.map(
        ({ baseline, contender, control }) => figure(contender) / ((figure(baseline) + figure(control)) / 2),
      ),
    ),
    control: spread(rounds.map(({ baseline, control }) => figure(control) / figure(baseline))),
  });
  return { throughput: against(rate), cpu: against(callsPerCpu) };
}

/**
 * Whether a goal was met; 'no verdict' when the control of the figure it is judged by was too far off.
 *
 * @param {{ ratio: Spread, control: Spread }} figure
 * @param {{ atLeast: number } | { atMost: number }} goal
 */
export function verdictOf({ ratio, control }, goal) {
  if (Math.abs(control.median - 1) > CONTROL_MAY_BE_OFF) return 'no verdict';
  return meets(ratio.median, goal) ? 'met' : 'missed';
}

export function meets(value, goal) {
  return 'atLeast' in goal ? value >= goal.atLeast : value <= goal.atMost;
}

/**
 * @typedef {{ median: number, low: number, high: number }} Spread
 * @param {number[]} values
 * @returns {Spread} the median, the smallest and the largest
 */
export function spread(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, low: sorted[0], high: sorted.at(-1) };
}
