import { execFileSync } from 'node:child_process';
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, expect, test } from '@jest/globals';
import { hashSync } from '@node-rs/argon2';

import { formatOf } from '../../src/passwords/formats/format-table.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-'));
afterAll(() => rmSync(folder, { recursive: true }));

const page = readFileSync(new URL('../../docs/migrating.md', import.meta.url), 'utf8');
const password = 'correct horse battery staple';

/** A user as Keycloak exports it. */
function exported(email: string, secret: object, credential: object, rest: object = {}): object {
  const credentials = [
    { type: 'otp', secretData: '{}', credentialData: '{}' },
    { type: 'password', secretData: JSON.stringify(secret), credentialData: JSON.stringify(credential) },
  ];
  return { username: email, email, enabled: true, credentials, ...rest };
}

function pbkdf2(algorithm: string, digest: string): object {
  const salt = randomBytes(16);
  const value = pbkdf2Sync(password, salt, 1_000, 64, digest).toString('base64');
  const secret = { value, salt: salt.toString('base64'), additionalParameters: {} };
  return exported(`${digest}@example.com`, secret, {
    hashIterations: 1_000,
    algorithm,
    additionalParameters: {},
  });
}

function argon2(): object {
  const text = hashSync(password, { memoryCost: 7_168, timeCost: 5, parallelism: 1 });
  const [salt = '', value = ''] = text.split('$').slice(-2);
  const padded = (base64: string) => Buffer.from(base64, 'base64').toString('base64');
  return exported(
    'argon2@example.com',
    { value: padded(value), salt: padded(salt), additionalParameters: {} },
    {
      hashIterations: 5,
      algorithm: 'argon2',
      additionalParameters: {
        hashLength: ['32'],
        memory: ['7168'],
        type: ['id'],
        version: ['1.3'],
        parallelism: ['1'],
      },
    },
    { realmRoles: ['default-roles-shop', 'offline_access', 'Editor'] },
  );
}

function runPage(realm: object): { email: string; password_hash: string | null; [rest: string]: unknown }[] {
  const [, program = ''] = /^```js\n(.*?)^```$/ms.exec(page) ?? [];
  writeFileSync(join(folder, 'keycloak.mjs'), program);
  writeFileSync(join(folder, 'realm.json'), JSON.stringify(realm));
  const output = execFileSync(process.execPath, ['keycloak.mjs', 'realm.json'], {
    cwd: folder,
    encoding: 'utf8',
  });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ReturnType<typeof runPage>[number]);
}

test("the program for Keycloak's users writes hashes that a login can check", () => {
  const users = [argon2(), pbkdf2('pbkdf2', 'sha1'), pbkdf2('pbkdf2-sha256', 'sha256')];
  const rows = runPage({ users: [...users, pbkdf2('pbkdf2-sha512', 'sha512'), { username: 'no-mail' }] });
  const found = rows.map(({ email, password_hash: hash }) => {
    const read = formatOf(hash ?? '')?.read(hash ?? '');
    return [email, typeof read === 'object' ? [read.verify(password), read.verify('another')] : read];
  });
  expect(found).toEqual(
    ['argon2', 'sha1', 'sha256', 'sha512'].map((name) => [`${name}@example.com`, [true, false]]),
  );
  expect(rows[0]).toMatchObject({ roles: ['editor'], disabled: false });
});

test('the program exports a user without a password and one with an unknown hash format', () => {
  const unknown = exported('b@example.com', { value: '', salt: '' }, { algorithm: 'md5', hashIterations: 1 });
  const rows = runPage({ users: [{ email: 'a@example.com', enabled: false }, unknown] });
  expect(rows).toEqual([
    { email: 'a@example.com', password_hash: null, roles: [], disabled: true },
    { email: 'b@example.com', password_hash: 'unknown: md5', roles: [], disabled: false },
  ]);
});
