import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { migrate } from '../../src/database/migrate.ts';
import { migrations } from '../../src/database/migrations/migrations.ts';
import { account, type Callee } from '../support/account.ts';
import { nextMigration } from '../support/next-migration.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { testCall } from '../support/test-call.ts';
import { startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { addUser, masterKey, startTestService, type TestService } from '../support/test-service.ts';
import { untilBlocked } from '../support/until-blocked.ts';
import { anyPorts } from '../support/service-environment.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const tables = ['users', 'sessions', 'revocations', 'signing_keys', 'login_throttle', 'audit_events'];
const ADVISORY_LOCK = 7;

/** An additive migration, as every one is. It blocks every statement until the test releases the advisory lock. */
const next = nextMigration(`
  SET LOCAL lock_timeout = 0;
  ${tables.map((table) => `ALTER TABLE ${table} ADD COLUMN of_the_next_release text;`).join('\n')}
  CREATE TABLE of_the_next_release (user_id uuid REFERENCES users (id) ON DELETE CASCADE);
  SELECT pg_advisory_xact_lock(${ADVISORY_LOCK});
`);

let store: TestDatabase;
let service: TestService;
beforeAll(async () => {
  store = await createTestDatabase();
  service = await startTestService({}, store);
  await service.addUser(email, password);
});
afterAll(async () => {
  await service.stop();
  await store.drop();
});

/** Logs in, refreshes, verifies and logs out. */
async function useOnce(callee: Callee): Promise<void> {
  const first = await account.login(callee, email, password);
  const second = await account.refresh(callee, first.refresh_token);
  expect(await account.verdict(callee, second.access_token)).toBe('OK');
  expect(await account.revoke(callee, second.refresh_token)).toBe('OK');
  expect(await account.verdict(callee, second.access_token)).toBe('TOKEN_REVOKED');
}

test('D15 a service keeps working during and after the migration of its database by a newer release', async () => {
  // Several connections, each with its prepared statements.
  const sessions = await Promise.all([1, 2, 3, 4].map(() => account.login(service, email, password)));
  const [refreshed, revoked, kept] = await Promise.all(
    sessions.map(({ refresh_token }) => account.refresh(service, refresh_token)),
  );
  if (!refreshed || !revoked || !kept) throw new Error('a session is missing');

  const { migrating, calls } = await store.database.transaction(testCall(), async (holder) => {
    await holder.raw('SELECT pg_advisory_xact_lock(?)', [ADVISORY_LOCK]);
    const begun = migrate(store.database, [...migrations, next]);
    await untilBlocked(store, begun);
    const meanwhile = [
      account.login(service, email, password),
      account.refresh(service, refreshed.refresh_token),
      account.revoke(service, revoked.access_token),
    ] as const;
    await untilBlocked(store, Promise.all(meanwhile), 1 + meanwhile.length);
    expect(await account.verdict(service, kept.access_token)).toBe('OK');
    return { migrating: begun, calls: meanwhile };
  });
  expect(await migrating).toEqual([next.name]);
  const [opened, successor, ended] = await Promise.all(calls);
  expect(ended).toBe('OK');
  expect(await account.verdict(service, revoked.access_token)).toBe('TOKEN_REVOKED');
  for (const { access_token } of [opened, successor, kept])
    expect(await account.verdict(service, access_token)).toBe('OK');
  await Promise.all([1, 2, 3, 4].map(() => useOnce(service)));
  const levels = service.logLines.map((line) => (JSON.parse(line) as { level: string }).level);
  expect(levels).not.toEqual(expect.arrayContaining([expect.stringMatching(/warn|error|fatal/)]));
});

test('D15 logins and refreshes go on while a migration waits for a transaction of somebody else', async () => {
  const busy = await createTestDatabase();
  const callee = await startTestService({}, busy);
  await callee.addUser(email, password);
  const { sql } = nextMigration(
    tables.map((table) => `ALTER TABLE ${table} ADD COLUMN later text;`).join('\n'),
  );
  let waits = 0;
  const migrating = await busy.database.unlimited(async (holder) => {
    // As a backup does.
    await holder.raw('SELECT FROM users, audit_events LIMIT 1');
    const begun = migrate(busy.database, [...migrations, nextMigration(sql)], () => (waits += 1));
    await untilBlocked(busy, begun);
    await useOnce(callee);
    await useOnce(callee);
    return { begun };
  });
  expect(await migrating.begun).toEqual([next.name]);
  expect(waits).toBe(1);
  await useOnce(callee);
  await callee.stop();
  await busy.drop();
});

describe('D15 this release on the schema of the next one', () => {
  const command = (words: string[], migrateSetting: string, stdin = '') => {
    const environment = {
      DATABASE_URL: newer.url,
      POSTERN_MASTER_KEY: masterKey,
      POSTERN_MIGRATE: migrateSetting,
      ...anyPorts,
    };
    return runPostern(words, { environment, stdin });
  };
  let newer: TestDatabase;
  beforeAll(async () => {
    newer = await createTestDatabase();
    await migrate(newer.database, [...migrations, next]);
    await addUser(newer, email, password);
  });
  afterAll(async () => {
    await endEveryPostern();
    await newer.drop();
  });

  test('starts and serves with POSTERN_MIGRATE=auto, and its commands work', async () => {
    const old = await startServiceProcess(newer.url);
    await untilReady(old);
    await useOnce(old);
    const user = ['user', 'create', '--email', 'bob@example.com', '--password-stdin'];
    for (const words of [
      ['migrate'],
      ['key', 'rotate', '--now'],
      ['key', 'list'],
      ['session', 'end-all'],
      user,
    ])
      expect(await command(words, 'auto', password)).toMatchObject({ exitCode: 0 });
    const { exitCode, stdout } = await command(['doctor'], 'auto');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(new RegExp(`migration ${next.number}\\b.*newer`));
    await useOnce(old);
    await old.stop();
  });

  test('does not start with POSTERN_MIGRATE=off, nor do its commands, and doctor reports it', async () => {
    const advice = 'run a newer Postern, or this one with POSTERN_MIGRATE=auto';
    for (const words of [['serve'], ['user', 'list'], ['doctor']]) {
      const { exitCode, stdout, stderr } = await command(words, 'off');
      expect([words, exitCode]).toEqual([words, exitCodes.refused]);
      expect(stdout + stderr).toContain(advice);
    }
  });
});
