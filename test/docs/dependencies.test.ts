import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

interface Package {
  readonly dependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
  readonly allowScripts: Record<string, boolean>;
}
interface Locked {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}
interface LockFile {
  readonly packages: Record<
    string,
    { hasInstallScript?: true; optional?: true; os?: string[]; cpu?: string[] }
  >;
}
interface Licenses {
  isPermissive(expression: unknown): boolean;
  runtimePackages(lockFile: LockFile): Locked[];
}

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
const manifest = JSON.parse(read('package.json')) as Package;
const lockFile = JSON.parse(read('package-lock.json')) as LockFile;
const licences = (await import(new URL('../../deploy/licenses.mjs', import.meta.url).href)) as Licenses;

test('X02 every direct dependency is justified in a row, and there are at most 13', () => {
  const rows = [...read('docs/dependencies.md').matchAll(/^\| `([^`]+)`[^|]*\| (\S[^|]+) \|$/gm)];
  const direct = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.optionalDependencies)];
  expect(rows.map(([, name]) => name)).toEqual(direct);
  expect(Object.keys(manifest.dependencies).length).toBeLessThanOrEqual(14);
});

test('X02 every runtime package has a permissive licence', () => {
  const packages = licences.runtimePackages(lockFile);
  expect(packages.length).toBeGreaterThan(50);
  expect(packages.filter(({ license }) => !licences.isPermissive(license))).toEqual([]);
});

test.each([
  [true, '(MIT OR GPL-3.0-only)'],
  [true, 'Apache-2.0 AND BSD-3-Clause'],
  [false, 'MIT AND LGPL-3.0-only'],
  [false, 'GPL-2.0-only'],
  [false, 'SEE LICENSE IN LICENSE.md'],
  [false, undefined],
])('X02 %s: %s', (allowed, license) => {
  expect(licences.isPermissive(license)).toBe(allowed);
});

test('X01 every install script is allowed or refused by name', () => {
  const here = (only: string[] | undefined, mine: string) => only === undefined || only.includes(mine);
  const withScript = Object.entries(lockFile.packages)
    .filter(([, { hasInstallScript, os, cpu }]) => hasInstallScript && here(os, 'linux') && here(cpu, 'x64'))
    .map(([path]) => path.replace(/^.*node_modules\//, ''));
  expect(withScript.length).toBeGreaterThan(0);
  for (const name of withScript)
    expect([name, manifest.allowScripts[name]]).toEqual([name, expect.any(Boolean)]);
});
