// Formats the rows as a Markdown table, with a reason from `misses.json` for each missed goal, and updates docs/benchmarks.md.
import { formatGoal, formatSpread } from './format-figures.mjs';

const BEGIN = '<!-- bench -->';
const END = '<!-- /bench -->';
const HEAD =
  '| scenario | measured | baseline | goal | median (lowest to highest) | control | also | verdict |';
const RULE = '|---|---|---|---|---|---|---|---|';
const judges = {
  cpu: 'in calls per second of CPU time',
  throughput: 'in calls per second',
  cost: 'in time per call',
  p99: 'in p99',
  figure: '',
};

/**
 * @param {import('./goals.mjs').Row[]} rows measured rows, rows with `failed`, or rows that are not measured yet
 * @param {{ runs: { cores: number, node: string, date: string, pairs: number }[], plots: { file: string, title: string }[],
 *   reasons: Record<string, string> }} about `runs` that measured the rows, perhaps none; `reasons` by row id
 */
export function summary(rows, { runs, plots, reasons }) {
  const missed = rows.filter(({ verdict }) => verdict === 'missed');
  return [
    ...(runs.length > 0
      ? [
          `${each(runs, 'date')}; ${each(runs, 'cores')} cores, Node ${each(runs, 'node')}, pairs: ${each(runs, 'pairs')}. A ratio ` +
            "is Postern's figure divided by the baseline's, the control a second run of the baseline by the first; no verdict if it is off by over 10 %.",
        ]
      : ['Not measured on a quiet machine yet.']),
    '',
    ...plots.flatMap(({ file, title }) => [`![${title}](../bench/results/${file})`, '']),
    HEAD,
    RULE,
    ...rows.map((row) => `| ${cellsOf(row).join(' | ')} |`),
    ...(missed.length > 0 ? ['', 'Missed goals:', ''] : []),
    ...missed.map(
      ({ id, title }) => `- ${title} (\`${id}\`): ${reasons[id] ?? 'the reason is not known yet'}`,
    ),
  ].join('\n');
}

/** The values that runs have, each once. */
function each(runs, fact) {
  return [...new Set(runs.map((run) => run[fact]))].sort().join(', ');
}

function cellsOf(row) {
  const head = [`\`${row.scenario}\``, row.title, row.baseline, formatGoal(row)];
  if (row.failed) return [...head, '', '', '', `failed: ${row.failed}`];
  if (!row.measured) return [...head, '', '', '', 'not measured'];
  const { measured, control, also, verdict } = row;
  const others = Object.entries(also).map(([name, own]) => `${name}: ${formatSpread(own)}`);
  return [
    ...head,
    [formatSpread(measured, row.unit), judges[row.judgedBy]].filter(Boolean).join(' '),
    control ? formatSpread(control) : '',
    others.join('; '),
    verdict === 'none' ? '' : verdict,
  ];
}

/** Replaces the table between the markers of a page. @throws Error when the page has no markers */
export function withTable(page, table) {
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from < 0 || to < from) throw new Error(`the page has no ${BEGIN} ... ${END}`);
  return `${page.slice(0, from + BEGIN.length)}\n${table}\n${page.slice(to)}`;
}

/** The table between the markers of a page. */
export function tableOf(page) {
  return page.slice(page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)).trim();
}
