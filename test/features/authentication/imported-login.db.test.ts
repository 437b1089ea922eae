import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { status } from '@grpc/grpc-js';

import { startTestService, type TestService } from '../../support/test-service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

const login = (email: string, password: string) =>
  service.call('postern.v1.AuthService/Login', { email, password });

async function importUser(email: string, hash: string): Promise<void> {
  await service.database.query(
    'INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), $1, $2)',
    [email, hash],
  );
}

async function storedHash(email: string): Promise<string> {
  const [row] = await service.database.query('SELECT password_hash FROM users WHERE email = $1', [email]);
  return String(row?.['password_hash']);
}

test.each([
  ['bcrypt', '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC'],
  ['django', 'pbkdf2_sha256$1000$Ueous4a2i5WxO6Pu4YZ0SB$asqc//ocdgzWIHOuTZWjHbKrQJkxJvboHaMnN7ow2Zs='],
  ['passlib', '$scrypt$ln=10,r=8,p=1$NQYgpDQGgPAeA8BYK2WstQ$WGcDJWildFBi4OmlKVqM5x7xlsWnv9SBuoYCfoYvDH0'],
])('L04 the first login of a user imported with a %s hash stores argon2id', async (name, hash) => {
  const email = `${name}@example.com`;
  await importUser(email, hash);
  expect((await login(email, 'correct horse battery')).reason).toBe('INVALID_CREDENTIALS');
  expect(await storedHash(email)).toBe(hash);
  for (let times = 0; times < 2; times++) {
    expect((await login(email, 'correct horse b\u00e4ttery')).code).toBe(status.OK);
    expect(await storedHash(email)).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  }
});

test('L04 concurrent first logins all succeed, whichever stores the new hash', async () => {
  const email = 'twice@example.com';
  await importUser(email, '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC');
  const answers = await Promise.all([1, 2, 3, 4, 5].map(() => login(email, 'correct horse b\u00e4ttery')));
  expect(answers.map(({ code }) => code)).toEqual(Array(5).fill(status.OK));
});

test('L05 after the first login with an imported bcrypt hash, byte 73 matters', async () => {
  const email = 'long@example.com';
  // passlib 1.7.4, bcrypt of 80 times `a`, cut by it to 72.
  await importUser(email, '$2b$04$x0Vb1YCC8wvlUzvH9rYodOwhEMRiINrc9x5DWDio2u7EUn9J7zIWS');
  expect((await login(email, 'a'.repeat(80))).code).toBe(status.OK);
  expect((await login(email, 'a'.repeat(79))).reason).toBe('INVALID_CREDENTIALS');
  expect((await login(email, 'a'.repeat(80))).code).toBe(status.OK);
});

test('a stored hash with a cost above the maximum is never computed', async () => {
  const email = 'hostile@example.com';
  await importUser(email, `$2b$31$${'.'.repeat(53)}`);
  const startedMs = performance.now();
  expect((await login(email, 'any password')).reason).toBe('INVALID_CREDENTIALS');
  // Computing this hash would take days.
  expect(performance.now() - startedMs).toBeLessThan(60_000);
});

test('L07 a well-known password cannot be set', async () => {
  await expect(service.addUser('eve@example.com', 'Password123!')).rejects.toMatchObject({
    rejection: { kind: 'password-policy' },
  });
});
