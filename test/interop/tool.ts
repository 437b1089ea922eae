import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe } from '@jest/globals';

const dir = process.env['INTEROP_DIR'] ?? fileURLToPath(new URL('../../.interop', import.meta.url));

/**
 * The path of a program installed by `install.sh`, with links resolved: the user that PostgreSQL runs as may not have
 * access to the checkout.
 */
export function toolPath(name: string): string {
  const path = `${dir}/bin/${name}`;
  return existsSync(path) ? realpathSync(path) : path;
}

/** A `describe` whose tests are skipped, with the reason in the name, when `install.sh` could not install it. */
export function describeWith(name: string, title: string, tests: () => void): void {
  const note = `${dir}/absent/${name}`;
  if (existsSync(note))
    describe.skip(`${title} (no ${name} here: ${readFileSync(note, 'utf8').trim()})`, tests);
  else if (existsSync(toolPath(name))) describe(title, tests);
  else throw new Error(`${toolPath(name)} is missing: run npm run test:interop, which installs it`);
}
