// The rows as a Markdown table, with a reason from `misses.json` for each goal that was missed, and its place in the README.
const BEGIN = '<!-- bench -->';
const END = '<!-- /bench -->';

/**
 * @param {object[]} rows as the scenarios give them, or `{ title, failed }`
 * @param {{ cores: number, node: string, date: string, pairs: number }} facts
 * @param {Record<string, string>} reasons by row id
 */
export function summary(rows, facts, reasons) {
  const missed = rows.filter(({ verdict }) => verdict === 'missed');
  return [
    `${facts.date}, ${facts.cores} cores, Node ${facts.node}, ${facts.pairs} pairs each. Above 1 Postern is the better one; ` +
      'the spread is the lowest and the highest pair, the control is the baseline against itself.',
    '',
    '| measured | beside | goal | throughput | CPU time per call | control (CPU) | verdict |',
    '|---|---|---|---|---|---|---|',
    ...rows.map(tableRow),
    ...(missed.length > 0 ? ['', 'Goals that were missed:', ''] : []),
    ...missed.map(({ id, title }) => `- ${title}: ${reasons[id] ?? 'the reason is not known yet'}`),
  ].join('\n');
}

function tableRow(row) {
  if (row.failed) return `| ${row.title} | | | | | | failed: ${row.failed} |`;
  const { title, beside, goal, throughput, cpu, verdict } = row;
  const cells = [
    title,
    beside,
    goal ? `≥ ${goal.atLeast}` : '',
    inWords(throughput.ratio),
    inWords(cpu.ratio),
  ];
  return `| ${[...cells, inWords(cpu.control), verdict].join(' | ')} |`;
}

function inWords({ median, low, high }) {
  return `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

/** The README with the table between its markers. @throws Error when it has none */
export function withTable(readme, table) {
  const from = readme.indexOf(BEGIN);
  const to = readme.indexOf(END);
  if (from < 0 || to < from) throw new Error(`the README has no ${BEGIN} ... ${END}`);
  return `${readme.slice(0, from + BEGIN.length)}\n${table}\n${readme.slice(to)}`;
}
