// npm run conformance [-- sample]: bundles generate.ts, which imports the TypeScript of the service and its tests, and runs it.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { build } from 'esbuild';

const here = import.meta.dirname;
const kind = process.argv[2] ?? 'full';
if (!['full', 'sample'].includes(kind)) {
  process.stderr.write(`unknown argument '${kind}'; write nothing, for all vectors, or 'sample'\n`);
  process.exit(2);
}
const bundle = join(here, 'out', `generate-${process.pid}.mjs`);
await build({
  entryPoints: [join(here, 'generate.ts')],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
});
const { status } = spawnSync(
  process.execPath,
  [bundle, join(here, kind === 'full' ? 'out' : 'sample'), kind],
  {
    stdio: 'inherit',
  },
);
rmSync(bundle);
process.exitCode = status ?? 1;
