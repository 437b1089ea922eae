import { readFileSync } from 'node:fs';
import { basename, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';

import {
  cycles,
  forbiddenNames,
  importsOf,
  MAX_LINES,
  readSources,
  type SourceFile,
} from '../support/source-files.ts';

/** A file of the console imports only from its own layer and those before it. */
const layers = [
  ['update.ts', 'wire.ts', 'router.ts', 'clock.ts', 'session-rules.ts'],
  ['post.ts'],
  ['session.ts'],
  ['rpc.ts'],
  ['ui/'],
  ['pages/'],
  ['app.ts'],
];
/** What the bundle may hold of libraries: they run with the access token of an administrator. */
const libraries = ['lit-html', 'qr'];
/** The messages of the service, of which only the types are used. */
const MESSAGES = /^(\.\.\/)+src\/generated\/postern\/v1\/[\w-]+\.ts$/;

const layerOf = (path: string) =>
  layers.findIndex((places) =>
    places.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place)),
  );
const libraryOf = (name: string) => /^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? '';

/** The violations, one line each. */
function violations(files: readonly SourceFile[]): string[] {
  const graph = new Map<string, string[]>();
  const found: string[] = [];
  for (const { path, source } of files) {
    const typesOnly = new Set(
      [...source.matchAll(/^import type [^;]*? from '([^']+)';$/gm)].map(([, name]) => name),
    );
    const names = importsOf(source);
    const inside: string[] = [];
    for (const name of names) {
      const target = posix.join(posix.dirname(path), name);
      if (!name.startsWith('.')) {
        if (!libraries.includes(libraryOf(name))) found.push(`${path} imports ${name}`);
      } else if (target.startsWith('..')) {
        if (!MESSAGES.test(name)) found.push(`${path} imports ${name}`);
        else if (!typesOnly.has(name)) found.push(`${path} imports ${name}, and not only its types`);
      } else {
        inside.push(target);
        if (layerOf(target) > layerOf(path)) found.push(`${path} imports the later ${target}`);
      }
    }
    graph.set(path, inside);
    if (layerOf(path) < 0) found.push(`${path} is in no layer`);
    if (source.trimEnd().split('\n').length > MAX_LINES) found.push(`${path} is over ${MAX_LINES} lines`);
    if (basename(path) === 'index.ts') found.push(`${path} is a barrel`);
    if (path.split('/').some((part) => forbiddenNames.test(part)))
      found.push(`${path} has a name that says nothing`);
  }
  return [...found, ...cycles(graph)].sort();
}

describe('the checker finds', () => {
  test.each<[string, string, string, string[]]>([
    [
      'a page in a session',
      'session.ts',
      `import './pages/a.ts';`,
      ['session.ts imports the later pages/a.ts'],
    ],
    [
      'a later layer, as a type',
      'ui/a.ts',
      `import type { A } from '../app.ts';`,
      ['ui/a.ts imports the later app.ts'],
    ],
    ['a file outside the layers', 'extra/a.ts', '', ['extra/a.ts is in no layer']],
    ['another library', 'ui/a.ts', `import { z } from 'zod';`, ['ui/a.ts imports zod']],
    ['a module of Node', 'ui/a.ts', `import { join } from 'node:path';`, ['ui/a.ts imports node:path']],
    [
      'code of the service',
      'ui/a.ts',
      `import { isUuid } from '../../../src/domain/uuid.ts';`,
      ['ui/a.ts imports ../../../src/domain/uuid.ts'],
    ],
    [
      'generated code, by a second import',
      'ui/a.ts',
      `import { type A, B } from '../../../src/generated/postern/v1/auth.ts';`,
      ['ui/a.ts imports ../../../src/generated/postern/v1/auth.ts, and not only its types'],
    ],
    ['a long file', 'ui/a.ts', 'const a = 1;\n'.repeat(MAX_LINES + 1), ['ui/a.ts is over 350 lines']],
    ['a cycle', 'ui/a.ts', `import './a.ts';`, ['cycle: ui/a.ts > ui/a.ts']],
    ['empty names', 'ui/form-helpers.ts', '', ['ui/form-helpers.ts has a name that says nothing']],
  ])('%s', (_name, path, source, expected) => expect(violations([{ path, source }])).toEqual(expected));

  test('nothing in permitted imports', () => {
    const source = [
      `import { html } from 'lit-html';`,
      `import { ref } from 'lit-html/directives/ref.js';`,
      `import type {\n  TokenSet,\n} from '../../../../src/generated/postern/v1/auth.ts';`,
      `import { admin } from '../../rpc.ts';`,
    ].join('\n');
    expect(violations([{ path: 'pages/users/users.ts', source }])).toEqual([]);
  });
});

test('C70 the sources of the console follow their layers and import nothing of the service', () => {
  const files = readSources('console/src');
  expect(files.length).toBeGreaterThan(15);
  expect(violations(files)).toEqual([]);
});

describe('the bundle', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const bundled = build({
    absWorkingDir: root,
    entryPoints: ['console/src/app.ts', 'console/src/style.css'],
    outdir: 'out',
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    metafile: true,
    logLevel: 'silent',
  });

  test('C70 holds the console and its libraries alone', async () => {
    const inputs = Object.keys((await bundled).metafile.inputs);
    expect(inputs).toContain('console/src/app.ts');
    const allowed = [/^console\/src\//, ...libraries.map((name) => new RegExp(`^node_modules/${name}/`))];
    expect(inputs.filter((path) => !allowed.some((place) => place.test(path)))).toEqual([]);
  });

  test('C70 and the page load nothing from elsewhere', async () => {
    const styles = (await bundled).outputFiles.find(({ path }) => path.endsWith('.css'))?.text ?? '';
    expect(styles).toMatch(/\{/);
    expect(styles).not.toMatch(/@import|@font-face|url\((?!["']?data:)/);
    const page = readFileSync(`${root}/console/index.html`, 'utf8');
    const loaded = [...page.matchAll(/\b(?:src|href)="([^"]*)"/g)].map(([, address = '']) => address);
    expect(loaded).toEqual(expect.arrayContaining(['app.js', 'app.css']));
    expect(loaded.filter((address) => !/^(app\.(js|css)|data:.*)$/.test(address))).toEqual([]);
    expect(page).not.toMatch(/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/i);
  });
});
