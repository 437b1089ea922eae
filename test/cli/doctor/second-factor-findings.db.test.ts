import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { passkeyFinding, secondFactorFindings } from '../../../src/cli/doctor/second-factor-findings.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { totpCode, totpStep } from '../../../src/features/second-factors/totp/totp.ts';
import { RootKey } from '../../../src/features/root-key/root-key.ts';
import { masterKeyOf, seal } from '../../../src/crypto/sealed-envelope.ts';
import { totpOf } from '../../support/second-factors.ts';
import { runHere } from '../../support/run-here.ts';
import { createServiceRole } from '../../support/service-role.ts';
import { serviceEnvironment } from '../../support/service-environment.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { addUser, masterKey, startTestService, type TestService } from '../../support/test-service.ts';
import { verdictOf } from '../../support/account.ts';

const password = 'correct horse battery';
let store: TestDatabase;
let service: TestService;
let roleUrl: string;
/** Has the database role of the service, not its master key. */
let writer: Client;
beforeAll(async () => {
  store = await createTestDatabase();
  roleUrl = (await createServiceRole(store)).url;
  writer = new Client({ connectionString: roleUrl });
  await writer.connect();
  service = await startTestService({ DATABASE_URL: roleUrl, POSTERN_MIGRATE: 'off' }, store);
});
afterAll(async () => {
  await service.stop();
  await writer.end();
  await store.drop();
});

const findings = (environment: Record<string, string> = {}) =>
  secondFactorFindings(
    store.database,
    loadSettings({ ...serviceEnvironment(store.url), ...environment }),
    5_000,
  );
const environment = () => ({ DATABASE_URL: roleUrl, POSTERN_MASTER_KEY: masterKey });

async function enrol(email: string): Promise<string> {
  const words = ['user', 'enrol-totp', '--email', email];
  const { stdout } = await runHere([...words, '--json'], { environment: environment() });
  const { factor_id, secret } = JSON.parse(stdout) as { factor_id: string; secret: string };
  const { exitCode, stderr } = await runHere([...words, '--confirm', factor_id], {
    environment: environment(),
    stdin: totpOf(secret),
  });
  if (exitCode !== 0) throw new Error(stderr);
  return secret;
}

test('M58 doctor advises a policy once there are administrators, and then names those without a factor', async () => {
  expect(await findings()).toEqual([]);
  for (let number = 1; number <= 7; number += 1)
    await addUser(store, `admin${number}@example.com`, password, ['admin']);
  expect(await findings()).toEqual([
    {
      check: 'settings',
      verdict: 'warning',
      message: 'administrators can log in with a password alone',
      advice: expect.stringContaining('set POSTERN_SECOND_FACTOR_ROLES=admin') as unknown,
    },
  ]);
  // As the role of a service: the commands need no more rights than it has.
  await enrol('admin1@example.com');
  await store.query(`UPDATE users SET disabled_at = now() WHERE email = 'admin2@example.com'`);
  const [named, stored] = await findings({ POSTERN_SECOND_FACTOR_ROLES: 'admin' });
  expect(named).toMatchObject({
    verdict: 'warning',
    message:
      'users with a role of POSTERN_SECOND_FACTOR_ROLES who have no second factor: admin3@example.com, admin4@example.com, ' +
      'admin5@example.com, admin6@example.com, admin7@example.com',
  });
  expect(stored).toMatchObject({ verdict: 'ok', message: 'every second factor is as Postern stored it (1)' });
  await addUser(store, 'zoe@example.com', password, ['operator']);
  const [more] = await findings({ POSTERN_SECOND_FACTOR_ROLES: 'admin,operator' });
  expect(more?.message).toMatch(/admin7@example\.com and 1 more$/);
});

test('M58 doctor names users without a factor for every role of the policy, and a role that nobody has', async () => {
  const messages = async (roles: string) =>
    (await findings({ POSTERN_SECOND_FACTOR_ROLES: roles })).map(({ message }) => message);
  expect(await messages('operator,oprator')).toEqual([
    'administrators can log in with a password alone',
    'no user has these roles of POSTERN_SECOND_FACTOR_ROLES: oprator',
    'users with a role of POSTERN_SECOND_FACTOR_ROLES who have no second factor: zoe@example.com',
    expect.stringMatching(/^every second factor/),
  ]);
  await store.query(`UPDATE users SET roles = '{}' WHERE 'admin' = ANY(roles)`);
  const withoutAdministrators = await messages('operator');
  await store.query(`UPDATE users SET roles = '{admin}' WHERE email LIKE 'admin%'`);
  expect(withoutAdministrators).toEqual([
    'users with a role of POSTERN_SECOND_FACTOR_ROLES who have no second factor: zoe@example.com',
    expect.stringMatching(/^every second factor/),
  ]);
});

test('M59 doctor names a factor that a writer to the database has made, copied or altered, and it lets nobody in', async () => {
  const secret = await enrol('admin3@example.com');
  await addUser(store, 'eve@example.com', password);
  const eves = await enrol('eve@example.com');
  const login = (email: string, code: string) =>
    service.call('postern.v1.AuthService/Login', { email, password, code });

  // Eve's own factor on the administrator's account, in place of that of the administrator.
  await writer.query(
    `UPDATE factors SET sealed_secret = (SELECT sealed_secret FROM factors f JOIN users u ON u.id = f.user_id WHERE u.email = 'eve@example.com')
     WHERE user_id = (SELECT id FROM users WHERE email = 'admin3@example.com')`,
  );
  // One of her own making, sealed with a key that she knows.
  const known = Buffer.alloc(20, 7);
  const [userId] = (
    await writer.query<{ id: string }>(`SELECT id FROM users WHERE email = 'admin4@example.com'`)
  ).rows.map(({ id }) => id);
  const id = '01890000-0000-7000-8000-000000000001';
  const sealed = seal(
    known,
    `totp factor ${id} ${userId}`,
    masterKeyOf(Buffer.alloc(32, 7)),
    Buffer.alloc(12),
  );
  await writer.query(
    `INSERT INTO factors (id, user_id, kind, name, sealed_secret, confirmed_at) VALUES ($1, $2, 'totp', 'x', $3, now())`,
    [id, userId, sealed],
  );
  await writer.query(
    `INSERT INTO factors (id, user_id, kind, name, credential_id, cose_key, sign_count, backup_eligible, backed_up, mac, confirmed_at)
     VALUES (gen_random_uuid(), $1, 'passkey', 'x', $2, $2, 0, false, false, $2, now())`,
    [userId, Buffer.alloc(32, 7)],
  );

  expect(verdictOf(await login('admin3@example.com', totpOf(eves, 1)))).toBe('SECOND_FACTOR_INVALID');
  expect(verdictOf(await login('admin3@example.com', totpOf(secret, 1)))).toBe('SECOND_FACTOR_INVALID');
  const forged = totpCode(known, totpStep(Date.now() / 1000));
  expect(verdictOf(await login('admin4@example.com', forged))).toBe('SECOND_FACTOR_INVALID');
  expect(verdictOf(await login('eve@example.com', totpOf(eves, 1)))).toBe('OK');

  const { exitCode, stdout } = await runHere(['doctor', '--json'], { environment: environment() });
  const faults = (JSON.parse(stdout) as { verdict: string; says: string }[]).filter(
    ({ verdict }) => verdict === 'fault',
  );
  expect(faults).toHaveLength(3);
  expect(faults.map(({ says }) => says)).toContainEqual(
    `the second factor ${id} of the user ${userId} was not stored by Postern, or was altered; it lets nobody in`,
  );
  expect(exitCode).toBe(5);
});

test.each([
  [
    'https://auth.example.com',
    'passkeys belong to auth.example.com and are used at https://auth.example.com',
  ],
  ['https://192.0.2.1', expect.stringMatching(/^passkeys are off: POSTERN_ISSUER has an IP address/)],
])('doctor says where passkeys are used with the issuer %s', (issuer, message) => {
  const settings = loadSettings({ ...serviceEnvironment(store.url), POSTERN_ISSUER: issuer });
  expect(passkeyFinding(settings)).toEqual({ check: 'settings', verdict: 'ok', message });
});

test('doctor changes nothing where there is no root key yet', async () => {
  const empty = await createTestDatabase();
  try {
    const settings = loadSettings(serviceEnvironment(empty.url));
    expect(await secondFactorFindings(empty.database, settings, 5_000)).toEqual([]);
    expect(await empty.query('SELECT 1 FROM refresh_root')).toEqual([]);
  } finally {
    await empty.drop();
  }
});

test('M59 doctor says that no factor can be read when the root key is missing or another one', async () => {
  const faults = async () => (await findings()).filter(({ verdict }) => verdict === 'fault');
  const message = (cause: string) => expect.stringMatching(`^none of the second factors .*: ${cause}$`);
  await store.query('DELETE FROM refresh_root');
  expect(await faults()).toMatchObject([{ message: message('the root key is missing'), exitCode: 5 }]);
  expect(await store.query('SELECT 1 FROM refresh_root')).toEqual([]);
  await new RootKey().prepare(store.database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  expect(await faults()).toMatchObject([{ message: message('the root key is probably another one') }]);
});
