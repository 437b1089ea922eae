import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

const src = fileURLToPath(new URL('../../src', import.meta.url));
/** Static imports of values: neither types nor `import()`. */
const STATIC_IMPORT = /^(?:import|export) (?!type\b)(?:[^;]*?\bfrom )?'([^']+)';/gm;

/** The packages that a file loads with its static imports. */
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

test.each(['cli/postern.ts', 'compose/run-until-signal.ts', 'compose/sidecar/sidecar.ts'])(
  '%s does not load the database libraries, which would delay every command and a sidecar',
  (entry) => {
    const packages = [...packagesOf(entry)];
    expect(packages.length).toBeGreaterThan(0);
    expect(packages.filter((name) => /^(knex|pg)\b/.test(name))).toEqual([]);
  },
);

test('the same search finds them in the service', () => {
  expect([...packagesOf('compose/service.ts')]).toEqual(expect.arrayContaining(['knex', 'pg']));
});

test('only the parts of jose that are used are loaded, not its encryption', () => {
  const parts = [...packagesOf('compose/service.ts'), ...packagesOf('compose/sidecar/sidecar.ts')].filter(
    (name) => /^jose\b/.test(name),
  );
  expect(parts).toContain('jose/key/export');
  expect(parts).not.toContain('jose');
});
