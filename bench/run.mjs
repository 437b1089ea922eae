// Measures the service beside its baselines and writes bench/results: npm run bench -- [--quick] [--only NAME] [--pairs 7]
// Each scenario is a process of its own: one that fails is written down as failed, and the rest goes on. A full run also
// puts the table into the README; `--quick` (one pair, no verdicts) and `--only` leave it as it is. Exits with 1 after a failure.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { clearTimeout, setTimeout } from 'node:timers';
import { fileURLToPath, URL } from 'node:url';
import { parseArgs } from 'node:util';
import { hasH2load } from './load/h2load.mjs';
import { canPin, LOAD_CORE } from './measured-process.mjs';
import { summary, withTable } from './summary.mjs';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    pairs: { type: 'string', default: '7' },
  },
});
const scenarios = ['verify-seen', 'verify-first-sight', 'verify-by-hand', 'check'];
const chosen = scenarios.filter((name) => values.only === undefined || name === values.only);
const plan = values.quick
  ? { quick: true, pairs: 1, seconds: 0.5, warmUpSeconds: 0.3 }
  : { quick: false, pairs: Number(values.pairs), seconds: 2, warmUpSeconds: 3 };
const SCENARIO_LIMIT_MS = 10 * 60_000;
const KILL_AFTER_MS = 10_000;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

if (chosen.length === 0) {
  console.error(`no scenario ${values.only}; there are ${scenarios.join(', ')}`);
  process.exit(2);
}
if (!(plan.pairs >= 1)) {
  console.error('--pairs takes a number from 1 on');
  process.exit(2);
}
if (!hasH2load()) {
  console.error(
    'the load comes from h2load, which is not here: apt-get install nghttp2-client (Debian, Ubuntu)',
  );
  process.exit(2);
}
if (!canPin) console.error('servers and load are not pinned to cores here: expect a wider spread');

/** Resolves to the rows of a scenario, or to one that says why there are none. */
async function runScenario(name) {
  const command = [process.execPath, here('scenario-process.mjs'), name, JSON.stringify(plan)];
  if (canPin) command.unshift('taskset', '-c', String(LOAD_CORE));
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  const timers = [
    setTimeout(() => child.kill('SIGTERM'), SCENARIO_LIMIT_MS),
    setTimeout(() => child.kill('SIGKILL'), SCENARIO_LIMIT_MS + KILL_AFTER_MS),
  ];
  const code = await new Promise((resolve) => child.once('close', resolve));
  timers.forEach(clearTimeout);
  if (code !== 0) return [{ id: name, title: name, failed: `it ended with ${code ?? 'a signal'}` }];
  return JSON.parse(output.trim().split('\n').at(-1));
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
for (const name of chosen) {
  console.error(`${name} ...`);
  const own = await runScenario(name);
  rows.push(...own);
  if (!plan.quick)
    writeFileSync(here(`results/${name}.json`), `${JSON.stringify({ ...facts, rows: own }, null, 2)}\n`);
}
const table = summary(rows, facts, JSON.parse(readFileSync(here('misses.json'), 'utf8')));
console.log(table);
if (!plan.quick && values.only === undefined) {
  const readme = here('../README.md');
  writeFileSync(here('results/table.md'), `${table}\n`);
  writeFileSync(readme, withTable(readFileSync(readme, 'utf8'), table));
}
process.exit(rows.some(({ failed }) => failed) ? 1 : 0);
