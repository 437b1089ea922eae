import { basename, posix } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import {
  cycles,
  forbiddenNames,
  importsOf,
  MAX_LINES,
  readSources,
  type SourceFile,
} from './support/source-files.ts';

/** A file imports only from its own layer and those before it. */
const layers = [
  ['generated/'],
  ['domain/'],
  ['crypto/'],
  ['net/'],
  ['config/'],
  ['tokens/'],
  ['trust/'],
  ['policy/'],
  ['client/'],
  ['passwords/'],
  ['database/'],
  ['features/audit/'],
  ['features/revocations/'],
  ['features/used-once/'],
  ['features/audiences/'],
  ['features/sessions/'],
  // Every key is sealed with the master key of the root key, and a root key is made only when the stored keys open.
  ['features/root-key/', 'features/signing-keys/'],
  ['features/service-accounts/'],
  ['features/users/'],
  ['features/second-factors/'],
  ['features/api-keys/'],
  ['features/token-exchange/'],
  ['features/workloads/'],
  ['features/authentication/'],
  ['features/maintenance/'],
  ['features/overview/'],
  ['rpc/'],
  ['services/'],
  ['observability/'],
  ['grpc/'],
  ['http/'],
  ['compose/'],
  ['cli/'],
];
/** The folders that may import the settings as a whole; all others are given the values they need. */
const readersOfConfig = ['config/', 'compose/', 'cli/'];
/** Libraries that only one folder imports; it wraps them for all others. */
const owners: Readonly<Record<string, RegExp>> = {
  jose: /^tokens\//,
  knex: /^database\/|-queries\.ts$/,
  pg: /^database\//,
  yaml: /^policy\//,
};
/** The definition of an RPC is independent of the transport: these folders import none, not even as a type. */
const transportFree = ['rpc/', 'features/', 'services/', 'observability/'];
const TRANSPORT = /^(@grpc\/grpc-js|node:https?|node:http2)(\/|$)/;
const isIn = (path: string, places: readonly string[]) =>
  places.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place));
const layerOf = (path: string) => layers.findIndex((places) => isIn(path, places));

/** The violations, one line each. */
function violations(files: readonly SourceFile[]): string[] {
  const graph = new Map<string, string[]>();
  const found: string[] = [];
  for (const { path, source } of files) {
    const names = importsOf(source);
    const inside = names
      .filter((name) => name.startsWith('.'))
      .map((name) => posix.join(posix.dirname(path), name));
    graph.set(path, inside);
    if (layerOf(path) < 0) found.push(`${path} is in no layer`);
    for (const target of inside) {
      if (layerOf(target) > layerOf(path)) found.push(`${path} imports the later ${target}`);
      if (target === 'config/load-settings.ts' && !isIn(path, readersOfConfig))
        found.push(`${path} imports config/load-settings.ts`);
    }
    for (const name of names) {
      const [library = ''] = name.split('/');
      const owner = Object.hasOwn(owners, library) ? owners[library] : undefined;
      if (owner !== undefined && !owner.test(path)) found.push(`${path} imports ${library}`);
      if (isIn(path, transportFree) && TRANSPORT.test(name)) found.push(`${path} imports ${name}`);
    }
    if (path.startsWith('generated/')) continue;
    if (source.trimEnd().split('\n').length > MAX_LINES) found.push(`${path} is over ${MAX_LINES} lines`);
    if (/\bprocess\s*(\.\s*env\b|\[\s*['"]env['"])/.test(source) && path !== 'config/load-settings.ts') {
      found.push(`${path} reads process.env`);
    }
    if (basename(path) === 'index.ts') found.push(`${path} is a barrel`);
    if (path.split('/').some((part) => forbiddenNames.test(part)))
      found.push(`${path} has a name that says nothing`);
  }
  return [...found, ...cycles(graph)].sort();
}

describe('the checker finds', () => {
  const long = 'const a = 1;\n'.repeat(MAX_LINES + 1);
  test.each<[string, SourceFile[], string[]]>([
    [
      'an import from a later layer',
      [{ path: 'domain/a.ts', source: `import type { B } from '../database/b.ts';` }],
      ['domain/a.ts imports the later database/b.ts'],
    ],
    [
      'a multi-line, a dynamic and a re-exporting import',
      [
        { path: 'tokens/a.ts', source: `import {\n  b,\n} from '../grpc/b.ts';` },
        { path: 'tokens/c.ts', source: `await import('../cli/d.ts');` },
        { path: 'tokens/e.ts', source: `export * from '../http/f.ts';` },
      ],
      [
        'tokens/a.ts imports the later grpc/b.ts',
        'tokens/c.ts imports the later cli/d.ts',
        'tokens/e.ts imports the later http/f.ts',
      ],
    ],
    [
      'settings where they do not belong',
      [{ path: 'http/a.ts', source: `import '../config/load-settings.ts';` }],
      ['http/a.ts imports config/load-settings.ts'],
    ],
    ['a file outside the layers', [{ path: 'extra/a.ts', source: '' }], ['extra/a.ts is in no layer']],
    [
      'a cycle',
      [
        { path: 'domain/a.ts', source: `import './b.ts';` },
        { path: 'domain/b.ts', source: `import './a.ts';` },
      ],
      ['cycle: domain/a.ts > domain/b.ts > domain/a.ts'],
    ],
    ['a long file', [{ path: 'domain/a.ts', source: long }], ['domain/a.ts is over 350 lines']],
    [
      'libraries outside their folders',
      [
        {
          path: 'features/users/a.ts',
          source: `import 'jose';\nimport 'knex/lib/x.js';\nimport { Client } from 'pg';`,
        },
      ],
      [
        'features/users/a.ts imports jose',
        'features/users/a.ts imports knex',
        'features/users/a.ts imports pg',
      ],
    ],
    [
      'the environment',
      [{ path: 'observability/log.ts', source: `process.env.HOME` }],
      ['observability/log.ts reads process.env'],
    ],
    ['a barrel', [{ path: 'domain/index.ts', source: '' }], ['domain/index.ts is a barrel']],
    [
      'empty names',
      [
        { path: 'domain/time-utils.ts', source: '' },
        { path: 'domain/common/a.ts', source: '' },
      ],
      [
        'domain/common/a.ts has a name that says nothing',
        'domain/time-utils.ts has a name that says nothing',
      ],
    ],
  ])('%s', (_name, files, expected) => expect(violations(files)).toEqual(expected));

  test('nothing in permitted imports or in comments', () => {
    const source = `// import '../cli/a.ts';\n/* from '../http/b.ts' */\nimport '../net/unix-socket.ts';`;
    const files = [
      { path: 'http/a.ts', source },
      { path: 'generated/long.ts', source: long },
      { path: 'config/load-settings.ts', source: 'process.env' },
      { path: 'tokens/issue/shared-secret-key.ts', source: '' },
    ];
    expect(violations(files)).toEqual([]);
  });
});

test('the source follows the layers', () => {
  const files = readSources('src');
  expect(files.length).toBeGreaterThan(200);
  expect(violations(files)).toEqual([]);
});

test('X04 code and protos are compiled in: nothing is loaded by a name computed at run time', () => {
  const files = readSources('src');
  expect(files.length).toBeGreaterThan(200);
  for (const { path, source } of files) {
    const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
    const dynamic = code.match(
      /\beval\(|\bnew Function\(|\bimport\((?!['"])|node:vm|proto-loader|protobufjs/g,
    );
    expect([path, dynamic]).toEqual([path, null]);
  }
});
