import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { budgetOf, ownOrigin } from '../../src/domain/operation-call.ts';
import { setUserState } from '../../src/features/users/set-user-state.ts';
import { account, type Tokens } from '../support/account.ts';
import { until } from '../support/wait-for.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { addUser } from '../support/test-service.ts';

const SESSIONS = 40;
const password = 'correct horse battery';
const environment = { POSTERN_SESSIONS_PER_USER: '100' };
let store: TestDatabase;
let one: ServiceProcess;
let two: ServiceProcess;
let users = 0;

beforeAll(async () => {
  store = await createTestDatabase();
  // Both create the keys of an empty database at the same moment.
  [one, two] = await Promise.all([
    startServiceProcess(store.url, environment),
    startServiceProcess(store.url, environment),
  ]);
  await Promise.all([untilReady(one), untilReady(two)]);
});
afterAll(async () => {
  await endEveryPostern();
  await store.drop();
});

async function newUser(): Promise<string> {
  users += 1;
  const email = `user${users}@example.com`;
  await addUser(store, email, password);
  return email;
}

const either = (index: number) => (index % 2 === 0 ? one : two);
/** The time until the service refuses the token as revoked, in ms. */
const refusedAfter = (service: ServiceProcess, token: string) =>
  until(
    async () => (await account.verdict(service, token)) === 'TOKEN_REVOKED',
    'the token is refused',
    5_000,
  );

test('S03 fifty parallel refreshes of one token at two processes give one successor, for each of forty sessions', async () => {
  const email = await newUser();
  for (let sessions = 0; sessions < SESSIONS; sessions += 1) {
    const first = await account.login(either(sessions), email, password);
    const racers = Array.from({ length: 50 }, (_, index) =>
      account.refresh(either(index), first.refresh_token),
    );
    const successors = new Set((await Promise.all(racers)).map(({ refresh_token }) => refresh_token));
    expect(successors.size).toBe(1);
    expect(successors.has(first.refresh_token)).toBe(false);
  }
  const generations = await store.query('SELECT DISTINCT generation FROM sessions');
  expect(generations).toEqual([{ generation: 2 }]);
  const [audited] = await store.query(
    `SELECT count(*)::int FROM audit_events WHERE action = 'token.refresh'`,
  );
  expect(audited).toEqual({ count: SESSIONS });
}, 30_000);

describe('S12 a session that ended at one instance is refused at the other within 2 s', () => {
  const endings: [string, (email: string, tokens: Tokens) => Promise<unknown>][] = [
    ['a logout', (_email, { refresh_token }) => account.revoke(one, refresh_token)],
    ['a logout by the access token', (_email, { access_token }) => account.revoke(one, access_token)],
    ['all sessions', (_email, { access_token }) => account.revoke(one, access_token, true)],
    [
      'a user disabled on the command line',
      (email) =>
        runPostern(['user', 'disable', '--email', email], { environment: { DATABASE_URL: store.url } }),
    ],
    [
      'a reused refresh token',
      async (_email, { refresh_token }) => {
        const second = await account.refresh(one, refresh_token);
        await account.refresh(one, second.refresh_token);
        await account.refreshVerdict(one, refresh_token);
      },
    ],
  ];
  test.each(endings)('%s', async (_name, end) => {
    const email = await newUser();
    const tokens = await account.login(one, email, password);
    expect([
      await account.verdict(two, tokens.access_token),
      await account.verdict(one, tokens.access_token),
    ]).toEqual(['OK', 'OK']);
    await end(email, tokens);
    expect(await refusedAfter(two, tokens.access_token)).toBeLessThan(2_000);
    expect(await refusedAfter(one, tokens.access_token)).toBeLessThan(2_000);
    expect(await account.refreshVerdict(two, tokens.refresh_token)).toBe('REFRESH_TOKEN_REVOKED');
  });
});

describe('S13 a revocation while the other instance loses its listening connection', () => {
  test.each(['before', 'during', 'after'])('cut %s the revocation', async (when) => {
    const tokens = await account.login(one, await newUser(), password);
    await account.verdict(two, tokens.access_token);
    const cut = () =>
      store.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, [
        `postern alarm ${two.pid}`,
      ]);
    const revoke = () => account.revoke(one, tokens.refresh_token);
    const actions = when === 'after' ? [revoke, cut] : [cut, revoke];
    if (when === 'during') await Promise.all(actions.map((act) => act()));
    else for (const act of actions) await act();
    expect(await refusedAfter(two, tokens.access_token)).toBeLessThan(1_000);
  });
});

test('no login survives a concurrent revocation of all sessions', async () => {
  const email = await newUser();
  for (let round = 0; round < 12; round += 1) {
    const held = await account.login(one, email, password);
    const logins = Array.from({ length: 4 }, (_, index) => account.login(either(index), email, password));
    const revoking = new Promise((resolve) => setTimeout(resolve, round * 15)).then(() =>
      account.revoke(either(round), held.access_token, true),
    );
    const tokens = await Promise.all(logins);
    expect(await revoking).toBe('OK');
    const [revokedAt] = await store.query('SELECT ended_at FROM sessions WHERE id = $1', [held.session_id]);
    // A live session was created after the revocation released the user's row.
    const survivors = await store.query(
      'SELECT id FROM sessions WHERE id = ANY($1) AND ended_at IS NULL AND created_at < $2::timestamptz',
      [tokens.map(({ session_id }) => session_id), revokedAt?.['ended_at']],
    );
    expect(survivors).toEqual([]);
    await store.query('DELETE FROM sessions WHERE user_id = $1', [held.user_id]);
  }
});

test('no login survives when its user is disabled concurrently', async () => {
  for (let round = 0; round < 6; round += 1) {
    const email = await newUser();
    const held = await account.login(one, email, password);
    const logins = Array.from({ length: 4 }, (_, index) =>
      either(index).call('postern.v1.AuthService/Login', { email, password }),
    );
    const disabling = new Promise((resolve) => setTimeout(resolve, round * 20)).then(() =>
      setUserState(
        { database: store.database },
        { user: { email }, disabled: true, actor: { type: 'operator', id: null } },
        { ...budgetOf(5_000, Date.now()), origin: ownOrigin },
      ),
    );
    await Promise.all([disabling, ...logins]);
    const live = await store.query('SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL', [
      held.user_id,
    ]);
    expect(live).toEqual([]);
  }
});

describe('S08 with a clock that is wrong by a day', () => {
  test.each([
    ['ahead', 86_400_000],
    ['behind', -86_400_000],
  ])('%s: sessions expire neither early nor late, and revoked tokens are refused', async (_name, shiftMs) => {
    const limits = { POSTERN_REFRESH_IDLE: '1h', POSTERN_REFRESH_TOKEN_TTL: '2h' };
    const wrong = await startServiceProcess(store.url, limits, shiftMs);
    const right = await startServiceProcess(store.url, limits);
    await Promise.all([untilReady(wrong), untilReady(right)]);
    const email = await newUser();

    const first = await account.login(right, email, password);
    const second = await account.refresh(wrong, first.refresh_token);
    expect((await account.refresh(right, first.refresh_token)).refresh_token).toBe(second.refresh_token);
    expect((await account.refresh(wrong, first.refresh_token)).refresh_token).toBe(second.refresh_token);
    const there = await account.login(wrong, email, password);
    expect(await account.refreshVerdict(right, there.refresh_token)).toBe('OK');

    // Its own access tokens are valid by its own clock until revoked.
    // It must not purge the revocation early by that clock.
    expect(await account.verdict(wrong, there.access_token)).toBe('OK');
    await account.revoke(right, there.refresh_token);
    await refusedAfter(wrong, there.access_token);
    const readBefore = await store.query('SELECT pg_current_xact_id()::text AS id');
    expect(readBefore).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await account.verdict(wrong, there.access_token)).toBe('TOKEN_REVOKED');

    await store.query(
      `UPDATE sessions SET rotated_at = rotated_at - interval '1 hour', created_at = created_at - interval '1 hour' WHERE id = $1`,
      [first.session_id],
    );
    expect(await account.refreshVerdict(wrong, second.refresh_token)).toBe('REFRESH_TOKEN_EXPIRED');
    await wrong.stop();
  });
});
