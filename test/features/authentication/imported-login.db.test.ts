import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { status } from '@grpc/grpc-js';
import { hashSync } from '@node-rs/argon2';

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

/** What a person types on different devices; another program hashed the bytes of one of them, as it got them. */
const composed = 'Zo\u00eb trinkt Caf\u00e9';
const decomposed = composed.normalize('NFD');
const ofDecomposed = [
  ['PHP 8.2.36 password_hash', '$2y$05$qs7BC9sZai5N.FhlOmyGiOcWjlNiemYiuNNfYSyADnqOOz4iiPKR6'],
  ['Django 5.2.19', 'pbkdf2_sha256$1000$Qtxk7xANriPJp10Mmr8WhS$+GOwvybDbxXoug2VB/SH0FWBvHUlxjy6q9OwATsMCoA='],
  ['passlib 1.7.4 bcrypt', '$2b$05$UCoSQEH/mexsqbu2FAotzuYJVRgDgtXWAltRwrflrBwep5/c6QcGW'],
] as const;
/** As better-auth 1.7.25 hashes it (`hashPassword` of `better-auth/crypto`), which is in NFKC; see docs/migrating.md. */
const fullWidth = '\uff30\uff41\uff53\uff53 of the \ufb01nest \u30ab\u3099';
const ofFullWidth =
  'scrypt:16384:16:1$43305fdd36d1d34c32e3feeb6bc4d9ce$72afecede5aa7c08be843bea8bd13b958a50225daef10c368db34adcdc2ebb8431e3d90077c2a8a255d673315d17c9210fe9d5864d149cc632c832a932bf762e';
let imported = 0;
async function importedUser(hash: string): Promise<string> {
  imported += 1;
  await importUser(`form${imported}@example.com`, hash);
  return `form${imported}@example.com`;
}

test.each(ofDecomposed)(
  'L06 a person whose password %s hashed in decomposed form logs in, however the keyboard sends it',
  async (_, hash) => {
    for (const typed of [decomposed, composed]) {
      const email = await importedUser(hash);
      expect((await login(email, `${typed}!`)).reason).toBe('INVALID_CREDENTIALS');
      expect((await login(email, typed)).code).toBe(status.OK);
      const stored = await storedHash(email);
      expect(stored).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
      for (const again of [decomposed, composed]) expect((await login(email, again)).code).toBe(status.OK);
      expect(await storedHash(email)).toBe(stored);
    }
  },
);

test('L06 a person whose password was hashed in composed form logs in from a keyboard that decomposes', async () => {
  // Django 5.2.19
  const hash = 'pbkdf2_sha256$1000$4auNR2iTUBkjpL4hpj3evD$AEW8k1VM3W7RSufvCmnAQT7Esa9/6yJGIOXPc+l/bQY=';
  expect((await login(await importedUser(hash), decomposed)).code).toBe(status.OK);
});

test('L06 a password typed in full-width letters matches the hash that better-auth made of its NFKC form', async () => {
  for (const typed of [fullWidth, fullWidth.normalize('NFC'), fullWidth.normalize('NFKC')]) {
    const email = await importedUser(ofFullWidth);
    expect((await login(email, typed)).code).toBe(status.OK);
    expect((await login(email, typed)).code).toBe(status.OK);
    // From then on the password is the text that was typed, whose compatibility forms are other passwords.
    const other = typed === fullWidth.normalize('NFKC') ? fullWidth : fullWidth.normalize('NFKC');
    expect((await login(email, other)).reason).toBe('INVALID_CREDENTIALS');
  }
});

test('L06 a strong argon2id hash of the decomposed password is replaced as well', async () => {
  const email = await importedUser(hashSync(decomposed, { memoryCost: 65_536, timeCost: 3, parallelism: 4 }));
  expect((await login(email, composed)).code).toBe(status.OK);
  expect(await storedHash(email)).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
});

test('L06 L09 a login that compares three forms is one attempt for the throttle', async () => {
  const email = await importedUser(ofFullWidth);
  const reasons: (string | undefined)[] = [];
  for (let guess = 0; guess < 6; guess++) reasons.push((await login(email, `\u00e8\ufb01${guess}`)).reason);
  expect(reasons).toEqual([...Array<string>(5).fill('INVALID_CREDENTIALS'), 'LOGIN_RATE_LIMITED']);
});

test('L06 L16 the current password of an imported user may be typed in another form when it is changed', async () => {
  for (const typed of [decomposed, composed]) {
    const email = await importedUser(ofDecomposed[0][1]);
    const { response } = await login(email, typed);
    // The state of a user whose hash could not be replaced at the login, because the hashing threads were busy.
    await service.database.query('UPDATE users SET password_hash = $2 WHERE email = $1', [
      email,
      ofDecomposed[0][1],
    ]);
    const change = (current_password: string) =>
      service.call(
        'postern.v1.AuthService/ChangePassword',
        { current_password, new_password: 'a staple for the horse' },
        { authorization: `Bearer ${String(response?.['access_token'])}` },
      );
    expect((await change(`${typed}!`)).reason).toBe('INVALID_CREDENTIALS');
    expect((await change(typed)).code).toBe(status.OK);
    expect((await login(email, 'a staple for the horse')).code).toBe(status.OK);
  }
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
