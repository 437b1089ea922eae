import { execFileSync } from 'node:child_process';
import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, expect, test } from '@jest/globals';
import { hashSync } from '@node-rs/argon2';

import { readStoredHash } from '../../src/passwords/formats/format-table.ts';
import { validateImportedHash } from '../../src/passwords/validate-imported-hash.ts';

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

type Row = { email: string; password_hash: string | null; [rest: string]: unknown };

/** Runs the program below a heading of the page with files as its arguments. */
function runPage(heading: string, ...files: readonly string[]): Row[] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  const [, program = ''] = /^```js\n(.*?)^```$/ms.exec(section) ?? [];
  writeFileSync(join(folder, 'program.mjs'), program);
  files.forEach((text, index) => writeFileSync(join(folder, `file${index}`), text));
  const output = execFileSync(process.execPath, ['program.mjs', ...files.map((_, index) => `file${index}`)], {
    cwd: folder,
    encoding: 'utf8',
  });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
}

const runKeycloak = (realm: object) => runPage('From Keycloak', JSON.stringify(realm));

/** Whether a login with each password succeeds after the import of a row; the reason when the import refuses it. */
function logins({ password_hash: hash }: Row, ...passwords: readonly string[]): boolean[] | string {
  const imported = validateImportedHash(hash ?? '');
  if (!imported.ok) return imported.reason;
  const read = readStoredHash(imported.stored ?? '');
  return typeof read === 'string' ? read : passwords.map((typed) => read.verify(typed));
}

test("the program for Keycloak's users writes hashes that a login can check", () => {
  const users = [argon2(), pbkdf2('pbkdf2', 'sha1'), pbkdf2('pbkdf2-sha256', 'sha256')];
  const rows = runKeycloak({ users: [...users, pbkdf2('pbkdf2-sha512', 'sha512'), { username: 'no-mail' }] });
  const found = rows.map((row) => [row.email, logins(row, password, 'another')]);
  expect(found).toEqual(
    ['argon2', 'sha1', 'sha256', 'sha512'].map((name) => [`${name}@example.com`, [true, false]]),
  );
  expect(rows[0]).toMatchObject({ roles: ['editor'], disabled: false });
});

test('the program exports a user without a password and one with an unknown hash format', () => {
  const unknown = exported('b@example.com', { value: '', salt: '' }, { algorithm: 'md5', hashIterations: 1 });
  const rows = runKeycloak({ users: [{ email: 'a@example.com', enabled: false }, unknown] });
  expect(rows).toMatchObject([
    { email: 'a@example.com', password_hash: null, roles: [], disabled: true },
    { email: 'b@example.com', roles: [], disabled: false },
  ]);
  expect(rows.map((row) => row.password_hash && logins(row, password))).toEqual([
    null,
    expect.stringContaining('in no known format'),
  ]);
});

test("the program for Firebase's users takes the parameters as the console shows them", () => {
  // The example in the README of github.com/firebase/scrypt.
  const config = `hash_config {
  algorithm: SCRYPT,
  base64_signer_key: jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}
`;
  const passwordHash =
    'lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==';
  const users = [
    { localId: 'a', email: 'ann@example.com', passwordHash, salt: '42xEC+ixf3L2lw==', providerUserInfo: [] },
    {
      localId: 'b',
      email: 'bob@example.com',
      disabled: true,
      providerUserInfo: [{ providerId: 'google.com' }],
    },
    { localId: 'c', phoneNumber: '+15555550100' },
  ];
  const rows = runPage('From Firebase', config, JSON.stringify({ users }));
  expect(rows).toMatchObject([
    { external_id: 'a', email: 'ann@example.com', disabled: false },
    { external_id: 'b', email: 'bob@example.com', password_hash: null, disabled: true },
  ]);
  expect(rows.map((row) => row.password_hash && logins(row, 'user1password', 'another'))).toEqual([
    [true, false],
    null,
  ]);
});

test("the program for Auth0's users reads the export that support makes", () => {
  // bcrypt of `correct horse bättery` by passlib 1.7.4.
  const passwordHash = '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC';
  const users = [
    { _id: { $oid: '5dea9f9c82dd7c0e76e4ec93' }, email: 'ann@example.com', passwordHash, connection: 'db' },
    { passwordHash, identifiers: [{ type: 'email', value: 'bob@example.com', verified: false }] },
    { passwordHash, identifiers: [{ type: 'phone_number', value: '+15555550100' }] },
    { _id: { $oid: '5dea9f9c82dd7c0e76e4ec94' }, alt_id: 'euclid', email: 'eve@example.com' },
  ];
  const rows = runPage('From Auth0', users.map((user) => `${JSON.stringify(user)}\n`).join(''));
  expect(rows).toEqual([
    {
      external_id: 'auth0|5dea9f9c82dd7c0e76e4ec93',
      email: 'ann@example.com',
      password_hash: passwordHash,
    },
    { external_id: null, email: 'bob@example.com', password_hash: passwordHash },
    { external_id: 'auth0|euclid', email: 'eve@example.com', password_hash: null },
  ]);
});
