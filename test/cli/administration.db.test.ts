import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account, verdictOf } from '../support/account.ts';
import { runHere } from '../support/run-here.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

const password = 'correct horse battery';
let database: TestDatabase;
let service: TestService;
let ann: string;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({}, database);
  ann = await service.addUser('ann@example.com', password, ['admin']);
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

const run = (...words: string[]) =>
  runHere(words, { environment: { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey } });
async function json(...words: string[]): Promise<unknown> {
  const { exitCode, stdout, stderr } = await run(...words, '--json');
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

test('set-role replaces the roles and ends the sessions, but not for the last administrator', async () => {
  await service.addUser('bob@example.com', password, ['reader']);
  const { refresh_token } = await account.login(service, 'bob@example.com', password);
  const roles = ['--role', 'writer', '--role', 'auditor'];
  expect(await run('user', 'set-role', '--email', 'bob@example.com', ...roles)).toMatchObject({
    exitCode: 0,
    stdout: 'bob@example.com: auditor, writer\n',
  });
  expect(await account.refreshVerdict(service, refresh_token)).toBe('REFRESH_TOKEN_REVOKED');
  expect(await json('user', 'set-role', '--email', 'bob@example.com', '--none')).toMatchObject({ roles: [] });
  const last = await run('user', 'set-role', '--email', 'ann@example.com', '--none');
  expect(last).toMatchObject({ exitCode: 5, stdout: '' });
  expect(last.stderr).toContain('another administrator');
  const wrong = [[], ['--none', '--role', 'x'], ['--role', 'NO ROLE']].map(
    async (words) => (await run('user', 'set-role', '--email', 'ann@example.com', ...words)).exitCode,
  );
  expect(await Promise.all(wrong)).toEqual([2, 2, 5]);
});

test('set-email changes the address and delete removes the user', async () => {
  const carol = await service.addUser('carol@example.com', password);
  expect(
    await json('user', 'set-email', '--email', 'carol@example.com', '--to', 'Caroline@example.com'),
  ).toMatchObject({
    id: carol,
    email: 'caroline@example.com',
  });
  await account.login(service, 'caroline@example.com', password);
  expect(
    (await run('user', 'set-email', '--email', 'caroline@example.com', '--to', 'ann@example.com')).exitCode,
  ).toBe(5);
  expect(await json('user', 'delete', '--email', 'caroline@example.com')).toEqual({ deleted: carol });
  const login = { email: 'caroline@example.com', password };
  expect(verdictOf(await service.call('postern.v1.AuthService/Login', login))).toBe('INVALID_CREDENTIALS');
  expect((await run('user', 'delete', '--email', 'caroline@example.com')).exitCode).toBe(5);
  expect((await run('user', 'delete', '--email', 'ann@example.com')).stderr).toContain('admin');
});

test('sessions are listed and ended, one or all', async () => {
  const [one, two] = [
    await account.login(service, 'ann@example.com', password),
    await account.login(service, 'ann@example.com', password),
  ];
  const idsOf = async (...more: string[]) =>
    ((await json('session', 'list', '--email', 'ann@example.com', ...more)) as { id: string }[]).map(
      ({ id }) => id,
    );
  expect(await idsOf()).toEqual([one.session_id, two.session_id]);
  expect(await json('session', 'revoke', one.session_id)).toEqual({ ended: 1 });
  expect(await account.refreshVerdict(service, one.refresh_token)).toBe('REFRESH_TOKEN_REVOKED');
  expect(await idsOf()).toEqual([two.session_id]);
  expect(await run('session', 'revoke', one.session_id)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining('already ended'),
  });
  expect(await json('session', 'revoke', one.session_id)).toEqual({ ended: 0 });
  const events = ['audit', 'list', '--action', 'session.revoke', '--target', one.session_id];
  expect(await json(...events)).toHaveLength(3);
  expect((await run('session', 'revoke', '--email', 'ann@example.com')).stdout).toBe('ended 1 session\n');
  expect([await idsOf(), await idsOf('--all')]).toEqual([[], [one.session_id, two.session_id]]);
  expect((await run('session', 'revoke')).exitCode).toBe(2);
  expect((await run('session', 'revoke', 'junk')).exitCode).toBe(5);
});

test('while a new key is pending, rotate names it and creates no other', async () => {
  const kids = async () => ((await json('key', 'list')) as { kid: string }[]).map(({ kid }) => kid);
  const first = await run('key', 'rotate');
  const [, waiting = '', activateAt = ''] = /^(\S+) .* from (\S+)\n$/.exec(first.stdout) ?? [];
  const before = await kids();
  expect(before).toContain(waiting);
  const repeated = await run('key', 'rotate');
  for (const part of [waiting, activateAt, 'already', '--now']) expect(repeated.stdout).toContain(part);
  expect(await json('key', 'rotate')).toEqual({ kid: waiting, activate_at: activateAt });
  expect((await run('key', 'rotate', '--now')).stdout).toContain(waiting);
  expect(await kids()).toEqual(before);
  expect((await run('key', 'rotate', '--now')).stdout).toMatch(/^\S+ signs now\n$/);
  expect(await kids()).toHaveLength(before.length + 1);
});

test('the audit trail is listed with filters and in pages', async () => {
  interface Listed {
    readonly id: string;
    readonly action: string;
    readonly outcome: string;
    readonly target_id: string;
    readonly at: string;
  }
  const list = async (...words: string[]) => (await json('audit', 'list', ...words)) as Listed[];
  await service.call('postern.v1.AuthService/Login', { email: 'ann@example.com', password: 'wrong' });
  const all = await list('--limit', '1000');
  expect(all.map(({ id }) => id)).toEqual(
    all
      .map(({ id }) => id)
      .sort()
      .reverse(),
  );
  expect(all[0]).toMatchObject({ action: 'login', outcome: 'refused', target_id: ann });

  const refused = await list('--target', ann, '--action', 'login', '--outcome', 'refused', '--since', '1h');
  expect(refused.map(({ id }) => id)).toEqual([all[0]?.id]);
  expect(await list('--until', '1h')).toEqual([]);
  expect(await list('--since', '2000-01-01', '--until', '2000-01-02T00:00:00Z')).toEqual([]);

  const page = await run('audit', 'list', '--limit', '2');
  expect(page.stdout.split('\n')[0]).toMatch(/^AT +ACTION +OUTCOME +REASON +ACTOR +TARGET +ADDRESS$/);
  expect(page.stderr).toContain(`--before ${all[1]?.id}`);
  const next = await list('--limit', '2', '--before', String(all[1]?.id));
  expect(next.map(({ id }) => id)).toEqual(all.slice(2, 4).map(({ id }) => id));
  const wrong = [
    ['--limit', '0'],
    ['--since', 'yesterday'],
    ['--before', '1'],
    ['--since', '0001-01-01'],
    ['--outcome', 'maybe'],
    ['--action', 'user.updated'],
    ['--actor', 'ann@example.com'],
    ['--target', ann.toUpperCase()],
  ];
  const ends = await Promise.all(wrong.map((words) => run('audit', 'list', ...words)));
  expect(ends.map(({ exitCode, stdout }) => [exitCode, stdout])).toEqual(wrong.map(() => [2, '']));
  const [action, actor] = ends.slice(-3).map(({ stderr }) => stderr);
  expect(action).toContain('login, token.refresh, ');
  expect(actor).toMatch(/--actor .*\bid\b/);
});
