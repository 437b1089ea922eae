// Measures the service against its baselines and writes bench/results: npm run bench -- [--quick] [--only NAME,NAME] [--pairs 7] [--users 1000000]
// Each scenario is a process of its own: one that fails is recorded as failed, and the others run. Afterwards the plots and the
// table in docs/benchmarks.md are made anew from all results; `--quick` (one short pair, no verdicts) leaves everything as it is.
// `--users 10000000` adds a point to the curve of login costs and takes ten more minutes. The exit code is 1 after a failure,
// but not after a missed goal.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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
const only = values.only?.split(',');
const chosen = only
  ? only.map((name) => scenarios.find((one) => one.name === name) ?? refuse(noScenario(name)))
  : scenarios;
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
function noScenario(name) {
  return `there is no scenario ${name}; choose from: ${scenarios.map((one) => one.name).join(', ')}`;
}
if (!(plan.pairs >= 1)) refuse('--pairs must be a number of at least 1');
if (!plan.quick && !(plan.users >= 10_000)) refuse('--users must be a number of at least 10000');
if (!hasH2load()) {
  refuse('h2load, which makes the load, is not installed; run bash bench/install.sh, or install nghttp2');
}
if (!canPin)
  console.error('servers and load cannot be pinned to cores on this machine; expect a wider spread');

/** Resolves to the rows of a scenario, or to rows that say why they have no figures. */
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
  const failed = `exited with ${code ?? 'a signal'}`;
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
const resultFile = (name) => here(`results/${name}.json`);
const measured = [];
for (const [index, scenario] of chosen.entries()) {
  console.error(`${scenario.name}: ${index + 1} of ${chosen.length}, after ${minutes()}`);
  const rows = await runScenario(scenario);
  measured.push(...rows);
  if (!plan.quick) {
    writeFileSync(resultFile(scenario.name), `${JSON.stringify({ ...facts, rows }, null, 2)}\n`);
  }
}
const reasons = JSON.parse(readFileSync(here('misses.json'), 'utf8'));
console.log(summary(measured, { runs: [facts], plots: [], reasons }));
console.error(`done after ${minutes()}`);
if (!plan.quick) updatePage();
process.exit(measured.some(({ failed }) => failed) ? 1 : 0);

/** Makes the plots and the table anew from the last run of each scenario. */
function updatePage() {
  const runs = scenarios
    .filter(({ name }) => existsSync(resultFile(name)))
    .map(({ name }) => JSON.parse(readFileSync(resultFile(name), 'utf8')));
  const results = new Map(runs.flatMap(({ rows }) => rows.map((row) => [row.id, row])));
  // Titles, baselines and goals are those of today.
  const rows = allRows.map((row) => ({ ...results.get(row.id), ...row }));
  const plots = plotsOf(rows);
  for (const { file, svg } of plots) writeFileSync(here(`results/${file}`), svg);
  const page = here('../docs/benchmarks.md');
  writeFileSync(page, withTable(readFileSync(page, 'utf8'), summary(rows, { runs, plots, reasons })));
}
