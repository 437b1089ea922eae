// The plots of docs/benchmarks.md: how far each figure is from its goal, and how the cost of a call grows with the data.
import { formatGoal, formatNumber } from './format-figures.mjs';
import { dotAt, lineFrom, pathThrough, svgOf, textAt } from './svg.mjs';

const WIDTH = 860;
const MARGIN = 20;

/** @param {object[]} rows measured rows; those that failed or have no goal are omitted */
export function plotsOf(rows) {
  const judged = rows.filter(({ measured, goal }) => measured && goal);
  const curves = judged.filter(({ curve }) => curve);
  return [
    ...(judged.length > 0 ? [goalsPlot(judged)] : []),
    ...(curves.length > 0 ? [curvesPlot(curves)] : []),
  ];
}

const ROW_HEIGHT = 38;
const HEAD_HEIGHT = 64;
const FOOT_HEIGHT = 20;
const AXIS = { from: 430, to: 720 };
const LABEL_LENGTH = 66;

/** Each figure relative to its goal, on a logarithmic scale, so that all goals lie on one line. */
function goalsPlot(rows) {
  const title = 'Measurements compared with their goals';
  const scores = rows.map(({ goal, measured: { median, low, high } }) => {
    const [one, other] = [scoreOf(low, goal), scoreOf(high, goal)];
    return { median: scoreOf(median, goal), low: Math.min(one, other), high: Math.max(one, other) };
  });
  const reach = Math.ceil(
    Math.max(1, ...scores.flatMap(({ low, high }) => [low, high].map((score) => Math.abs(Math.log2(score))))),
  );
  const xOf = (score) => AXIS.from + ((Math.log2(score) / reach + 1) / 2) * (AXIS.to - AXIS.from);
  const height = HEAD_HEIGHT + rows.length * ROW_HEIGHT + FOOT_HEIGHT;
  const bottom = height - FOOT_HEIGHT;
  const ticks = Array.from({ length: 2 * reach + 1 }, (_, index) => 2 ** (index - reach));
  const axis = ticks.flatMap((tick) => [
    lineFrom(xOf(tick), HEAD_HEIGHT - 8, xOf(tick), bottom, tick === 1 ? 'goal' : 'grid'),
    tick === 1
      ? textAt(xOf(tick), HEAD_HEIGHT - 14, 'goal', 'goal-name', 'middle')
      : textAt(xOf(tick), HEAD_HEIGHT - 14, tick < 1 ? `1/${1 / tick}` : `× ${tick}`, 'quiet', 'middle'),
  ]);
  const parts = rows.flatMap((row, index) => {
    const y = HEAD_HEIGHT + (index + 0.5) * ROW_HEIGHT;
    const { median, low, high } = scores[index];
    const kind = row.verdict === 'no verdict' ? ' open' : median < 1 ? ' short' : '';
    return [
      textAt(MARGIN, y - 2, truncate(row.title)),
      textAt(
        MARGIN,
        y + 12,
        truncate(row.baseline.startsWith('none') ? '' : `baseline: ${row.baseline}`),
        'quiet',
      ),
      lineFrom(xOf(low), y, xOf(high), y, `range${kind}`),
      dotAt(xOf(median), y, `point${kind}`),
      textAt(AXIS.to + 14, y - 2, `${formatNumber(row.measured.median)}${row.unit ?? ''}`),
      textAt(AXIS.to + 14, y + 12, `goal ${formatGoal(row)}`, 'quiet'),
    ];
  });
  const explanation = 'further right is better; bars: lowest to highest; grey: no verdict';
  const heading = [textAt(MARGIN, 24, title, 'heading'), textAt(MARGIN, 44, explanation, 'quiet')];
  return {
    file: 'goals.svg',
    title,
    svg: svgOf({ width: WIDTH, height, title, parts: [...heading, ...axis, ...parts] }),
  };
}

/** Above 1 is better than the goal. */
function scoreOf(value, goal) {
  return 'atLeast' in goal ? value / goal.atLeast : (goal.atMost ?? goal.below) / value;
}

const PANEL = { height: 220, top: 56, left: 60, gap: 70 };

/** The ratio to the smallest size, at each size; the axis starts at 0. */
function curvesPlot(rows) {
  const title = 'Cost of a call as the data grows';
  const panelWidth = (WIDTH - PANEL.left - MARGIN - (rows.length - 1) * PANEL.gap) / rows.length;
  const parts = rows.flatMap((row, index) =>
    panel(row, PANEL.left + index * (panelWidth + PANEL.gap), panelWidth),
  );
  const height = PANEL.top + PANEL.height + 60;
  return {
    file: 'costs.svg',
    title,
    svg: svgOf({ width: WIDTH, height, title, parts: [textAt(MARGIN, 24, title, 'heading'), ...parts] }),
  };
}

function panel(row, left, width) {
  const right = left + width;
  const bottom = PANEL.top + PANEL.height;
  const goal = row.goal.atLeast ?? row.goal.atMost;
  const most = Math.max(1.5, goal * 1.15, ...row.curve.map(({ high }) => high * 1.05));
  const yOf = (ratio) => bottom - (ratio / most) * PANEL.height;
  const xOf = (index) => left + ((index + 0.5) / row.curve.length) * width;
  const ticks = Array.from({ length: Math.floor(most / 0.5) + 1 }, (_, index) => index * 0.5);
  const sizes = row.curve.map(({ at }, index) =>
    textAt(xOf(index), bottom + 18, at.toLocaleString('en'), 'quiet', 'middle'),
  );
  const points = row.curve.map(({ median }, index) => [xOf(index), yOf(median)]);
  const marks = row.curve.flatMap(({ median, low, high }, index) => [
    lineFrom(xOf(index), yOf(low), xOf(index), yOf(high), 'range'),
    dotAt(xOf(index), yOf(median), 'point'),
    textAt(xOf(index) + 9, yOf(median) + ('atLeast' in row.goal ? -7 : 16), formatNumber(median), 'quiet'),
  ]);
  return [
    ...ticks.flatMap((tick) => [
      lineFrom(left, yOf(tick), right, yOf(tick), 'grid'),
      textAt(left - 8, yOf(tick) + 4, tick.toFixed(1), 'quiet', 'end'),
    ]),
    lineFrom(left, yOf(goal), right, yOf(goal), 'goal'),
    textAt(left + 4, yOf(goal) + ('atLeast' in row.goal ? 14 : -5), `goal ${formatGoal(row)}`, 'goal-name'),
    ...sizes,
    pathThrough(points, 'line'),
    ...marks,
    textAt((left + right) / 2, bottom + 38, row.axis, 'label', 'middle'),
    textAt(
      left,
      PANEL.top - 12,
      row.judgedBy === 'cost'
        ? 'time, relative to the baseline'
        : 'calls per second of CPU time, relative to the baseline',
      'quiet',
    ),
  ];
}

function truncate(text) {
  const plain = text.replaceAll('`', '');
  return plain.length > LABEL_LENGTH ? `${plain.slice(0, LABEL_LENGTH - 1).trimEnd()}…` : plain;
}
