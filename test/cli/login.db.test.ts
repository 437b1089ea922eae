import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account } from '../support/account.ts';
import { totpOf, wrongTotpOf } from '../support/second-factors.ts';
import { runHere } from '../support/run-here.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

const password = 'correct horse battery';
let database: TestDatabase;
let service: TestService;
let secret: string;
let recoveryCodes: string[];
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({}, database);
  await service.addUser('ann@example.com', password);
  await service.addUser('bob@example.com', password);
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

/** The end of the input is that of the answers. */
async function* lines(...answers: string[]) {
  for (const answer of answers) yield await Promise.resolve(`${answer}\r`);
}
const login = (words: string[], input: Parameters<typeof runHere>[1] = {}) =>
  runHere(['login', '--address', service.grpcAddress, ...words], input);
const piped = (email: string, stdin: string, ...words: string[]) =>
  login(['--email', email, '--password-stdin', ...words], { stdin });
const verdictOf = (token: string) => account.verdict(service, token.trimEnd());
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+\n$/;

test('M60 enrolment at a terminal shows a QR code and the secret, asks again for a wrong code, and prints recovery codes', async () => {
  const { exitCode, stdout, stderr } = await runHere(['user', 'enrol-totp', '--email', 'bob@example.com'], {
    environment: { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey },
    async *typed(shown) {
      await until(() => shown().includes('Code that the app shows: '), 'the code is asked for');
      [secret = ''] = /^[A-Z2-7]{32}$/m.exec(shown()) ?? [];
      yield `${wrongTotpOf(secret)}\r`;
      yield `${totpOf(secret)}\r`;
    },
  });
  expect(exitCode).toBe(0);
  recoveryCodes = stdout.trimEnd().split('\n');
  expect(recoveryCodes).toHaveLength(10);
  expect(stderr).toContain('▄▄▄▄▄');
  expect(stderr).toContain('the code is wrong or too old');
  expect(stderr).toContain('The factor is confirmed; 0 sessions have ended.');
  // Recovery codes are data for a file or a printer, not talk.
  for (const code of recoveryCodes) expect(stderr).not.toContain(code);
});

test('M61 at a terminal login asks for e-mail, password and a code, and prints the token alone', async () => {
  const ann = await login([], { typed: () => lines('ann@example.com', password) });
  // The password, typed before it was asked for, is not shown either.
  const shown = ann.stderr.replaceAll(/\p{Cc}(?:\[\d*[A-Z])?/gu, '');
  expect({ ...ann, stdout: TOKEN.test(ann.stdout), stderr: shown }).toEqual({
    exitCode: 0,
    stdout: true,
    stderr: 'E-mail: ann@example.comPassword: ',
  });
  expect(await verdictOf(ann.stdout)).toBe('OK');

  const bob = await login(['--email', 'bob@example.com'], {
    typed: () => lines(password, totpOf(secret, 1)),
  });
  expect(bob.stderr).toBe('Password: \nCode of the authenticator app, or a recovery code: \n');
  expect(await verdictOf(bob.stdout)).toBe('OK');
  const { stdout } = await runHere(['token', 'inspect', '-', '--json'], { stdin: bob.stdout });
  expect(JSON.parse(stdout)).toMatchObject({ claims: { acr: 'aal2', amr: ['pwd', 'otp'] } });
});

test('Ctrl-C while the service does not answer ends the command', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const connected = once(silent, 'connection');
  const { port } = silent.address() as AddressInfo;
  const words = ['login', '--address', `127.0.0.1:${port}`, '--email', 'ann@example.com'];
  const startedAt = performance.now();
  const { exitCode, stderr } = await runHere(words, {
    async *typed() {
      yield `${password}\r`;
      const [socket] = (await connected) as [Socket];
      socket.unref();
      yield '\u0003';
      await once(socket, 'close');
    },
  });
  silent.close();
  // Well before the deadline of the call, which would end the command as well.
  expect(performance.now() - startedAt).toBeLessThan(8_000);
  expect({ exitCode, stderr }).toEqual({
    exitCode: 130,
    stderr: 'Password: \npostern: interrupted\nNothing was changed.\n',
  });
});

test('a script gives the password on the first line and a code on the second', async () => {
  const ann = await piped('ann@example.com', `${password}\n`);
  expect({ ...ann, stdout: await verdictOf(ann.stdout) }).toEqual({ exitCode: 0, stdout: 'OK', stderr: '' });
  const bob = await piped('bob@example.com', `${password}\n${recoveryCodes[0]}\n`, '--json');
  const tokens = JSON.parse(bob.stdout) as Record<string, string>;
  expect(Object.keys(tokens)).toEqual(['access_token', 'expires_in', 'refresh_token', 'refresh_expires_in']);
  expect(await verdictOf(tokens['access_token'] ?? '')).toBe('OK');
  expect(await account.refreshVerdict(service, tokens['refresh_token'] ?? '')).toBe('OK');
});

test('M61 M64 a refusal says what happened and what to do, with its exit code and without a secret', async () => {
  const email = 'bob@example.com';
  const ends = [
    await piped(email, 'wrong password'),
    await piped('nobody@example.com', password),
    await piped(email, password),
    await piped(email, `${password}\n${recoveryCodes[0]}`),
    await piped(email, `${password}\n123456\nmore`),
    await piped(email, ''),
    await piped('not an address', password),
    await piped(email, password, '--audience', 'elsewhere'),
    await login(['--password-stdin'], { stdin: password }),
    await login(['--email', email]),
    await login([], { typed: () => lines('') }),
    await login(['--email', email], { typed: () => lines(password, '') }),
    await login(['--email', email], { typed: () => lines('\u0003') }),
    await runHere(['login', '--address', 'nowhere', '--email', email, '--password-stdin'], {
      stdin: password,
    }),
    await runHere(['login', '--address', 'auth.example.com:443', '--email', email, '--password-stdin'], {
      stdin: password,
    }),
    await piped(email, password, '--cert', '/nonexistent'),
    await piped(email, password, '--ca', '/nonexistent'),
    await runHere(['login', '--address', '127.0.0.1:1', '--email', email, '--password-stdin'], {
      stdin: password,
    }),
  ];
  for (const { stdout, stderr } of ends) {
    expect(stdout).toBe('');
    for (const secret of [password, recoveryCodes[0] ?? '']) expect(stderr).not.toContain(secret);
  }
  const text = (stderr: string) => stderr.slice(stderr.indexOf('postern: ')).split('\n')[0];
  expect(ends.map(({ exitCode, stderr }) => [exitCode, text(stderr)])).toEqual([
    [5, 'postern: the e-mail or the password is wrong'],
    [5, 'postern: the e-mail or the password is wrong'],
    [5, 'postern: the user has a second factor, and standard input has no code'],
    [5, 'postern: the code is wrong, too old or used'],
    [2, 'postern: standard input has more than two lines'],
    [2, 'postern: the password is empty'],
    [5, expect.stringContaining('email')],
    [5, expect.stringContaining('audience')],
    [2, 'postern: --password-stdin needs --email'],
    [2, 'postern: there is no terminal to ask for the password'],
    [2, 'postern: the e-mail is empty'],
    [2, 'postern: the code is empty'],
    [130, 'postern: interrupted'],
    [2, 'postern: --address is not an address'],
    [2, 'postern: the password would leave this machine in plaintext on the way to auth.example.com:443'],
    [2, 'postern: --cert and --key belong together'],
    [3, expect.stringContaining('the files for TLS cannot be used')],
    [4, 'postern: the service at 127.0.0.1:1 does not answer: connect ECONNREFUSED 127.0.0.1:1'],
  ]);
  // The last question was not answered: what follows begins a line.
  const ended = await login([], { typed: () => lines() });
  expect(ended.stderr).toMatch(/E-mail: .*\npostern: the input ended before a line was entered\n/);
});

test('a user with nothing but a passkey is told that a command cannot use it', async () => {
  const id = await service.addUser('passkey@example.com', password);
  await database.query(
    `INSERT INTO factors (id, user_id, kind, name, credential_id, cose_key, sign_count, backup_eligible, backed_up, mac, confirmed_at)
     VALUES (gen_random_uuid(), $1, 'passkey', 'key', $2, $2, 0, false, false, $2, now())`,
    [id, Buffer.alloc(16)],
  );
  const { exitCode, stderr } = await login(['--email', 'passkey@example.com'], {
    typed: () => lines(password),
  });
  expect(exitCode).toBe(5);
  expect(stderr).toContain('has no second factor but a passkey');
  await database.query(`INSERT INTO recovery_codes (user_id, digest) VALUES ($1, '\\x00')`, [id]);
  const asked = await login(['--email', 'passkey@example.com'], {
    typed: () => lines(password, '00000-00000'),
  });
  expect(asked.stderr).toContain('Recovery code: ');
  expect(asked.stderr).toContain('the code is wrong, too old or used');
});
