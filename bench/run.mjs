// Measures the service beside its baselines and writes bench/results: npm run bench -- [--quick] [--only NAME] [--pairs 7] [--users 1000000]
// Each scenario is a process of its own: one that fails is written down as failed, and the rest goes on. A full run also
// draws the plots and puts the table into docs/benchmarks.md; `--quick` (one short pair, no verdicts) and `--only` leave it as it is.
// `--users 10000000` adds a point to the cost of a login, and ten minutes. Exits with 1 after a failure, not after a missed goal.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { clearTimeout, setTimeout } from 'node:timers';
import { fileURLToPath, URL } from 'node:url';
import { parseArgs } from 'node:util';
import { allRows, scenarios } from './goals.mjs';
import { hasH2load } from './load/h2load.mjs';
import { canPin, LOAD_CORE } from './measured-process.mjs';
import { plotsOf } from './plots.mjs';
import { summary, withTable } from './summary.mjs';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    pairs: { type: 'string', default: '7' },
    users: { type: 'string', default: '1000000' },
  },
});
const chosen = scenarios.filter(({ name }) => values.only === undefined || name === values.only);
const plan = values.quick
  ? { quick: true, pairs: 1, seconds: 1.5, warmUpSeconds: 1.5 }
  : {
      quick: false,
      pairs: Number(values.pairs),
      seconds: 2,
      warmUpSeconds: 1.5,
      users: Number(values.users),
    };
const SCENARIO_LIMIT_MS = 30 * 60_000;
const KILL_AFTER_MS = 10_000;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const startedMs = performance.now();
const minutes = () => `${((performance.now() - startedMs) / 60_000).toFixed(1)} min`;

function refuse(line) {
  console.error(line);
  process.exit(2);
}
if (chosen.length === 0) {
  refuse(`no scenario ${values.only}; there are ${scenarios.map(({ name }) => name).join(', ')}`);
}
if (!(plan.pairs >= 1)) refuse('--pairs takes a number from 1 on');
if (!plan.quick && !(plan.users >= 10_000)) refuse('--users takes a number from 10000 on');
if (!hasH2load()) {
  refuse(
    'the load comes from h2load, which is not here: bash bench/install.sh, or the nghttp2 of your system',
  );
}
if (!canPin) console.error('servers and load are not pinned to cores here: expect a wider spread');

/** Resolves to the rows of a scenario, or to ones that say why they have no figures. */
async function runScenario({ name, pinned }) {
  const command = [process.execPath, here('scenario-process.mjs'), name, JSON.stringify(plan)];
  if (canPin && pinned) command.unshift('taskset', '-c', String(LOAD_CORE));
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  const timers = [
    setTimeout(() => child.kill('SIGTERM'), SCENARIO_LIMIT_MS),
    setTimeout(() => child.kill('SIGKILL'), SCENARIO_LIMIT_MS + KILL_AFTER_MS),
  ];
  const code = await new Promise((resolve) => child.once('close', resolve));
  timers.forEach(clearTimeout);
  if (code === 0) return JSON.parse(output.trim().split('\n').at(-1));
  const failed = `it ended with ${code ?? 'a signal'}`;
  return allRows.filter(({ scenario }) => scenario === name).map((row) => ({ ...row, failed }));
}

const facts = {
  date: new Date().toISOString().slice(0, 10),
  cores: cpus().length,
  cpu: cpus()[0]?.model ?? 'unknown',
  node: process.versions.node,
  pairs: plan.pairs,
  quick: plan.quick,
};
mkdirSync(here('results'), { recursive: true });
const rows = [];
for (const [index, scenario] of chosen.entries()) {
  console.error(`${scenario.name}: ${index + 1} of ${chosen.length}, after ${minutes()}`);
  const own = await runScenario(scenario);
  rows.push(...own);
  if (!plan.quick) {
    const text = JSON.stringify({ ...facts, rows: own }, null, 2);
    writeFileSync(here(`results/${scenario.name}.json`), `${text}\n`);
  }
}
const plots = plotsOf(rows);
const isWhole = !plan.quick && values.only === undefined;
const shown = isWhole ? plots : [];
const table = summary(rows, {
  facts,
  plots: shown,
  reasons: JSON.parse(readFileSync(here('misses.json'), 'utf8')),
});
console.log(table);
console.error(`done after ${minutes()}`);
if (isWhole) {
  for (const { file, svg } of plots) writeFileSync(here(`results/${file}`), svg);
  const page = here('../docs/benchmarks.md');
  writeFileSync(page, withTable(readFileSync(page, 'utf8'), table));
}
process.exit(rows.some(({ failed }) => failed) ? 1 : 0);
