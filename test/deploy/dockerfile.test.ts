import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** What the Dockerfile copies out of the repository. */
const copied = [...read('deploy/Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
  ([, sources = '']) => sources.split(' '),
);
const isBelow = (path: string, folders: readonly string[]) =>
  folders.some((folder) => path === folder || path.startsWith(`${folder}/`));

test('what the Dockerfile copies exists, and .dockerignore lets it through', () => {
  const [all, ...exceptions] = read('.dockerignore').trim().split('\n');
  expect(all).toBe('*');
  const sent = exceptions.map((line) => line.replace(/^!/, ''));
  expect(copied).toEqual(expect.arrayContaining(['package.json', 'src', 'console', 'proto']));
  expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  expect(copied.filter((path) => !isBelow(path, sent))).toEqual([]);
});

test('the Dockerfile copies every file that the build names, and what those import', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: { build: string } };
  const named = [...scripts.build.matchAll(/[\w./-]+\.(?:mjs|json)/g)].map(([path]) => path);
  const imported = named
    .filter((path) => path.endsWith('.mjs'))
    .flatMap((path) =>
      [...read(path).matchAll(/from '(\.[^']+)'/g)].map(([, other = '']) =>
        posix.join(posix.dirname(path), other),
      ),
    );
  expect(named).toEqual(expect.arrayContaining(['tsconfig.build.json', 'console/build.mjs']));
  expect(imported).toContain('deploy/notices.mjs');
  expect([...named, ...imported].filter((path) => !isBelow(path, copied))).toEqual([]);
});
