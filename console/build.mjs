// Bundles the console into `dist/console/`; `npm run build` runs it. The service serves these files from memory.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

import { bundledNotices } from '../deploy/notices.mjs';

const here = import.meta.dirname;
const root = join(here, '..');
const outdir = join(root, 'dist/console');

rmSync(outdir, { recursive: true, force: true });
mkdirSync(outdir, { recursive: true });

/** Templates keep their line breaks and lose the indentation, which would be a tenth of what is sent. */
const withoutIndentation = {
  name: 'without-indentation',
  setup: ({ onLoad }) =>
    onLoad({ filter: /console[\\/]src[\\/].*\.ts$/ }, ({ path }) => ({
      loader: 'ts',
      contents: readFileSync(path, 'utf8').replace(/\n\s+/g, '\n'),
    })),
};

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { app: 'console/src/app.ts', style: 'console/src/style.css' },
  // A name of its own for each content: browsers keep the files for good.
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  outdir,
  bundle: true,
  // What few need, such as QR codes, is loaded when it is needed.
  splitting: true,
  minify: true,
  plugins: [withoutIndentation],
  format: 'esm',
  target: 'es2022',
  conditions: ['production'],
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});

const nameOf = (entryPoint) => {
  const [path] = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === entryPoint);
  return basename(path);
};
const page = readFileSync(join(here, 'index.html'), 'utf8')
  .replace('app.js', nameOf('console/src/app.ts'))
  .replace('app.css', nameOf('console/src/style.css'));
writeFileSync(join(outdir, 'index.html'), page);
writeFileSync(join(outdir, 'NOTICES.txt'), bundledNotices(root, metafile));
