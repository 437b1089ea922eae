// Rows of `goals.mjs` with their measured values.
import { ratioOf, spread, verdictOf } from './pairs.mjs';

/**
 * A row whose figure is a ratio to a baseline.
 *
 * @param {import('./goals.mjs').Row} row
 * @param {Record<string, import('./pairs.mjs').Sample>[]} rounds
 * @param {{ quick: boolean }} plan
 * @param {{ side?: string, also?: string[] }} options `also`: further figures of the samples
 */
export function ratioRow(row, rounds, plan, { side = 'contender', also = [] } = {}) {
  const { ratio, control } = ratioOf(rounds, row.judgedBy, side);
  const others = also.map((figure) => [figure, ratioOf(rounds, figure, side).ratio]);
  return judged(row, { measured: ratio, control, also: Object.fromEntries(others), rounds }, plan);
}

/**
 * A curve: the ratios of several sides to one baseline. The figure of the row is that of the worst point.
 *
 * @param {[number, string][]} points the x value and the name of each side
 */
export function curveRow(row, rounds, plan, points) {
  const curve = points.map(([at, side]) => ({ at, ...ratioOf(rounds, row.judgedBy, side).ratio }));
  const { control } = ratioOf(rounds, row.judgedBy, points[0][1]);
  const isWorse = (one, other) =>
    'atLeast' in row.goal ? one.median < other.median : one.median > other.median;
  const worst = curve.reduce((sofar, point) => (isWorse(point, sofar) ? point : sofar));
  const { median, low, high } = worst;
  const also = Object.fromEntries(
    curve.map(({ at, ...own }) => [`at ${at.toLocaleString('en')}`, spreadOf(own)]),
  );
  return judged(row, { measured: { median, low, high }, control, also, curve, rounds }, plan);
}

/**
 * A row with an absolute figure.
 *
 * @param {number[]} values in the row's unit
 * @param {Record<string, import('./pairs.mjs').Spread>} also
 */
export function figureRow(row, values, plan, also = {}) {
  return judged(row, { measured: spread(values), control: null, also, values }, plan);
}

function judged(row, result, { quick }) {
  const verdict = quick && row.goal !== null ? 'no verdict' : verdictOf(result, row.goal);
  return { ...row, ...result, verdict };
}

function spreadOf({ median, low, high }) {
  return { median, low, high };
}
