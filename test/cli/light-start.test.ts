import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

const src = fileURLToPath(new URL('../../src', import.meta.url));
/** With their values, and at once: neither types nor `import()`. */
const STATIC_IMPORT = /^(?:import|export) (?!type\b)(?:[^;]*?\bfrom )?'([^']+)';/gm;

/** The packages that are loaded together with a file. */
function packagesOf(entry: string): Set<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const visit = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const [, name = ''] of readFileSync(path, 'utf8').matchAll(STATIC_IMPORT)) {
      if (name.startsWith('.')) visit(join(dirname(path), name));
      else packages.add(name);
    }
  };
  visit(join(src, entry));
  return packages;
}

test.each(['cli/postern.ts', 'compose/run-until-signal.ts', 'compose/sidecar.ts'])(
  'the database and its libraries are not loaded with %s: every command, and a sidecar, would start later',
  (entry) => {
    const packages = [...packagesOf(entry)];
    expect(packages.length).toBeGreaterThan(0);
    expect(packages.filter((name) => /^(knex|pg)\b/.test(name))).toEqual([]);
  },
);

test('the walk finds them where they are', () => {
  expect([...packagesOf('compose/service.ts')]).toEqual(expect.arrayContaining(['knex', 'pg']));
});

test('of jose only the parts that are used are loaded: the whole has encryption, too', () => {
  const parts = [...packagesOf('compose/service.ts'), ...packagesOf('compose/sidecar.ts')].filter((name) =>
    /^jose\b/.test(name),
  );
  expect(parts).toContain('jose/jws/compact/sign');
  expect(parts).not.toContain('jose');
});
