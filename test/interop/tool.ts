import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe } from '@jest/globals';

const dir = process.env['INTEROP_DIR'] ?? fileURLToPath(new URL('../../.interop', import.meta.url));

/**
 * Where `install.sh` put a program, with links followed: another user, as which PostgreSQL has to run, may not come through
 * the checkout.
 */
export function toolPath(name: string): string {
  const path = `${dir}/bin/${name}`;
  return existsSync(path) ? realpathSync(path) : path;
}

/** A `describe` whose tests are skipped, with the reason in the name, when `install.sh` could not get the program. */
export function describeWith(name: string, title: string, tests: () => void): void {
  const note = `${dir}/absent/${name}`;
  if (existsSync(note))
    describe.skip(`${title} (no ${name} here: ${readFileSync(note, 'utf8').trim()})`, tests);
  else if (existsSync(toolPath(name))) describe(title, tests);
  else throw new Error(`${toolPath(name)} is missing: run npm run test:interop, which installs it`);
}
