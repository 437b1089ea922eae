// A row of `goals.mjs` with what was measured.
import { ratioOf, spread, verdictOf } from './pairs.mjs';

/**
 * A ratio, by the row's figure and beside it by others.
 *
 * @param {import('./goals.mjs').Row} row
 * @param {Record<string, import('./pairs.mjs').Sample>[]} rounds
 * @param {{ quick: boolean }} plan
 * @param {{ side?: string, also?: string[] }} options other figures of the samples
 */
export function ratioRow(row, rounds, plan, { side = 'contender', also = [] } = {}) {
  const { ratio, control } = ratioOf(rounds, row.judgedBy, side);
  const others = also.map((figure) => [figure, ratioOf(rounds, figure, side).ratio]);
  return judged(row, { measured: ratio, control, also: Object.fromEntries(others), rounds }, plan);
}

/**
 * The ratios of several sides to one baseline, which is a curve; the row's figure is that of the worst point.
 *
 * @param {[number, string][]} points where each side stands
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
 * What stands for itself.
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
