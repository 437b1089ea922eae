// Packs `src/client` and what it imports into one file, without dependencies except the program's own
// @grpc/grpc-js, and yaml if it has policy files in YAML.
// `npm run build:client` runs it, and `npm pack` in this folder.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { generateDtsBundle } from 'dts-bundle-generator';
import { build } from 'esbuild';

import { bundledNotices } from '../../deploy/notices.mjs';

const here = import.meta.dirname;
const root = join(here, '../..');
const dist = join(here, 'dist');
const entry = join(root, 'src/client/postern-client.ts');

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
if (JSON.parse(readFileSync(join(here, 'package.json'), 'utf8')).version !== version)
  throw new Error(`clients/node/package.json must have the version of the service, ${version}`);

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: [entry],
  outfile: join(dist, 'postern-auth.js'),
  // `yaml` is optional: loaded for a policy file in YAML, and as large as all the rest.
  external: ['@grpc/grpc-js', 'yaml'],
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  metafile: true,
  logLevel: 'warning',
});
writeFileSync(join(dist, 'NOTICES.txt'), bundledNotices(root, metafile));

const [types] = generateDtsBundle(
  [
    {
      filePath: entry,
      libraries: { importedLibraries: ['@grpc/grpc-js'] },
      output: { exportReferencedTypes: false, inlineDeclareGlobals: true, noBanner: true, sortNodes: false },
    },
  ],
  // The root's `tsc` checks the same sources.
  { preferredConfigPath: join(here, 'tsconfig.json') },
);
// A message has a codec of the same name, which is not exported and belongs to a library that the package does not need.
const codecs =
  /^(?:export )?declare const \w+: MessageFns<\w+>;\n|^interface MessageFns<T> \{\n(?:\t.*\n)+\}\n/gm;
writeFileSync(join(dist, 'postern-auth.d.ts'), types.replace(codecs, ''));

// One copy for `import` and `require`: `callerOf` and `instanceof PosternError` must hold in a program that uses both.
const names = Object.keys(createRequire(import.meta.url)(join(dist, 'postern-auth.js')));
writeFileSync(join(dist, 'postern-auth.mjs'), `export { ${names.join(', ')} } from './postern-auth.js';\n`);
writeFileSync(join(dist, 'postern-auth.d.mts'), "export * from './postern-auth.js';\n");

// A module of its own, since its types name those of fastify, which most programs do not have.
const fastifyTypes = `import type { VerifiedClaims } from './postern-auth.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by requireTokenHook. */
    caller?: VerifiedClaims;
  }
}
export { requireTokenHook } from './postern-auth.js';
`;
const fastify = {
  'fastify.js': "exports.requireTokenHook = require('./postern-auth.js').requireTokenHook;\n",
  'fastify.mjs': "export { requireTokenHook } from './postern-auth.js';\n",
  'fastify.d.ts': fastifyTypes,
  'fastify.d.mts': fastifyTypes,
};
for (const [name, text] of Object.entries(fastify)) writeFileSync(join(dist, name), text);
