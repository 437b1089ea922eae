// Measures what a login, a refresh, a verification and a watcher cost, and writes the table in docs/scaling.md:
// npm run bench:sizing [-- --quick]
// Absolute figures of this machine, in contrast to `npm run bench`, whose figures are ratios. Takes three minutes; `--quick` takes
// some twenty seconds, only shows that everything runs, and leaves the page as it is.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath, URL } from 'node:url';
import { parseArgs } from 'node:util';
import { hasH2load } from '../load/h2load.mjs';
import { measureAuthentication } from './authentication.mjs';
import { sizingTables, withSizing } from './table.mjs';
import { measureVerifiers } from './verifiers.mjs';
import { measureWatchers } from './watchers.mjs';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
if (!hasH2load()) {
  console.error(
    'h2load, which makes the load, is not installed; run bash bench/install.sh, or install nghttp2',
  );
  process.exit(2);
}
const plan = values.quick
  ? { quick: true, samples: 1, seconds: 1, warmUpSeconds: 1, watchers: 100 }
  : { quick: false, samples: 3, seconds: 4, warmUpSeconds: 8, watchers: 1_000 };
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const facts = {
  date: new Date().toISOString().slice(0, 10),
  cores: cpus().length,
  cpu: cpus()[0]?.model ?? 'unknown',
  node: process.versions.node,
  /** Of the minute before: other work on the machine makes every figure worse. */
  loadBefore: loadavg()[0],
};
const startedMs = performance.now();
const step = async (name, measure) => {
  console.error(`${name}, after ${Math.round((performance.now() - startedMs) / 1_000)} s`);
  return measure(plan);
};

const results = {
  ...facts,
  ...(await step('logins and refreshes', measureAuthentication)),
  verifiers: await step('verifications', measureVerifiers),
  watchers: await step('watchers', measureWatchers),
};
console.error(`done after ${Math.round((performance.now() - startedMs) / 1_000)} s`);
console.log(sizingTables(results));
if (!values.quick) {
  writeFileSync(here('../results/sizing.json'), `${JSON.stringify(results, null, 2)}\n`);
  const page = here('../../docs/scaling.md');
  writeFileSync(page, withSizing(readFileSync(page, 'utf8'), sizingTables(results)));
}
process.exit(0);
