// Lists the licences of the production packages in the lock file. Fails on a licence that is unknown, or that requires more
// of a redistributor than keeping a notice (copyleft).
import { readFileSync } from 'node:fs';

const PERMISSIVE = new Set([
  'MIT',
  'ISC',
  '0BSD',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'CC0-1.0',
]);

/** @param {unknown} expression an SPDX expression: one alternative of an OR must be permissive, and every part of an AND */
export function isPermissive(expression) {
  if (typeof expression !== 'string') return false;
  const bare = expression.replaceAll(/[()]/g, ' ');
  return bare.split(/ OR /).some((one) => one.split(/ AND /).every((name) => PERMISSIVE.has(name.trim())));
}

/** Every package that a production installation from the lock file contains: its name, version and licence. */
export function runtimePackages(lockFile) {
  return Object.entries(lockFile.packages)
    .filter(([path, { dev, devOptional, link }]) => path !== '' && !dev && !devOptional && !link)
    .map(([path, { version, license }]) => ({
      name: path.replace(/^.*node_modules\//, ''),
      version,
      license,
    }));
}

if (process.argv[1] === import.meta.filename) {
  const packages = runtimePackages(JSON.parse(readFileSync('package-lock.json', 'utf8')));
  for (const { name, version, license } of packages)
    console.log(`${license ?? 'unknown'}\t${name}@${version}`);
  const refused = packages.filter(({ license }) => !isPermissive(license));
  for (const { name, license } of refused)
    console.error(`${name}: ${license ?? 'no licence'} is not allowed`);
  if (refused.length > 0) process.exitCode = 1;
}
