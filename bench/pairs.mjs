// Two identical servers can differ by 15 % on this kind of machine, so the figure of one server alone means little. A figure
// is the ratio of two servers that are sampled in turns, in new processes. A third sample, the baseline once more, is the
// control: it shows how accurate the ratio is.

/** If the control ratio differs from 1 by more than this, the machine was too noisy for a verdict. */
const MAX_CONTROL_DEVIATION = 0.1;

/**
 * One sample of a server, such as `calls` in `seconds`, for which its process used `cpuSeconds`.
 * @typedef {{ calls?: number, seconds?: number, cpuSeconds?: number, p99Ms?: number }} Sample
 */

/** The figures of a sample. */
const figures = {
  throughput: ({ calls, seconds }) => calls / seconds,
  cpu: ({ calls, cpuSeconds }) => calls / cpuSeconds,
  cost: ({ calls, seconds }) => seconds / calls,
  p99: ({ p99Ms }) => p99Ms,
};

/**
 * Samples every side once in each of `pairs` rounds, in an order that rotates with each round. The side `baseline` is
 * sampled once more, as `control`.
 *
 * @param {Record<string, () => Promise<Sample>>} sides
 * @param {number} pairs
 * @param {(line: string) => void} report prints the progress
 * @returns {Promise<Record<string, Sample>[]>} the samples by side
 */
export async function sampleRounds(sides, pairs, report = console.error) {
  const turns = Object.entries(sides.baseline ? { ...sides, control: sides.baseline } : sides);
  const rounds = [];
  for (let pair = 0; pair < pairs; pair++) {
    const round = {};
    for (let turn = 0; turn < turns.length; turn++) {
      const [name, sample] = turns[(pair + turn) % turns.length];
      round[name] = await sample();
    }
    rounds.push(round);
    report(`  ${pair + 1} of ${pairs}`);
  }
  return rounds;
}

/**
 * The ratios of a side in all rounds, each to the mean of the two baselines of its round.
 *
 * @param {Record<string, Sample>[]} rounds
 * @param {keyof figures} figure
 * @param {string} side
 * @returns {{ ratio: Spread, control: Spread }}
 */
export function ratioOf(rounds, figure, side = 'contender') {
  const valueOf = figures[figure];
  return {
    ratio: spread(
      rounds.map((round) => valueOf(round[side]) / ((valueOf(round.baseline) + valueOf(round.control)) / 2)),
    ),
    control: spread(rounds.map(({ baseline, control }) => valueOf(control) / valueOf(baseline))),
  };
}

/**
 * Whether a goal was met; 'no verdict' when the control of the figure deviates too much.
 *
 * @param {{ measured: Spread, control: Spread | null }} figure `control`: null without a baseline
 * @param {import('./goals.mjs').Goal | null} goal
 */
export function verdictOf({ measured, control }, goal) {
  if (goal === null) return 'none';
  if (control !== null && Math.abs(control.median - 1) > MAX_CONTROL_DEVIATION) return 'no verdict';
  return meets(measured.median, goal) ? 'met' : 'missed';
}

/** @param {import('./goals.mjs').Goal} goal */
export function meets(value, goal) {
  if ('atLeast' in goal) return value >= goal.atLeast;
  return 'atMost' in goal ? value <= goal.atMost : value < goal.below;
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
