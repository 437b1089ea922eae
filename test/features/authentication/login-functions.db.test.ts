import { randomBytes, randomUUID } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Knex } from 'knex';
import { Client } from 'pg';

import { oneConnection } from '../../support/one-connection.ts';
import { openingOf, openOne } from '../../support/open-session.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import type { Database } from '../../../src/database/database.ts';
import {
  LOGIN_THROTTLE_POLICY,
  type LoginThrottlePolicy,
} from '../../../src/features/authentication/throttle/throttle-policy.ts';
import { beginLogin } from '../../../src/features/authentication/throttle/throttle-queries.ts';
import { insertSession } from '../../../src/features/sessions/open-session-queries.ts';
import type { Email } from '../../../src/features/users/email.ts';

/** All times are multiples of this many seconds, so that the seconds that a test takes decide nothing. */
const STEP = 1_000;

interface Pair {
  readonly failures: number;
  readonly blockedIn: number | null;
  readonly expiresIn: number;
  readonly knownIn: number | null;
}
interface Account {
  readonly failures: number;
  readonly expiresIn: number;
}
interface Counters {
  readonly pair: Pair | null;
  readonly account: Account | null;
}

let store: TestDatabase;
let database: Database;
let client: Client;
const keys = { pair: randomBytes(32), account: randomBytes(32), email: 'ann@example.com' as Email };
const userId = randomUUID();

beforeAll(async () => {
  store = await createTestDatabase();
  database = oneConnection(store);
  client = new Client(store.url);
  await client.connect();
  await client.query('SET synchronous_commit = off');
  await query('INSERT INTO users (id, email) VALUES ($1, $2)', [userId, keys.email]);
});
afterAll(async () => {
  await client.end();
  await database.close();
  await store.drop();
});
beforeEach(() => query('TRUNCATE sessions, login_throttle, audit_events'));

async function query(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  return (await client.query<Record<string, unknown>>(sql, values)).rows;
}

const failures = fc.integer({ min: 0, max: 8 });
const seconds = fc.integer({ min: -3, max: 3 }).map((steps) => (2 * steps + 1) * STEP);
const later = fc.integer({ min: 1, max: 4 }).map((steps) => steps * STEP);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const counters: fc.Arbitrary<Counters> = fc.record({
  pair: maybe(
    fc.record({ failures, blockedIn: maybe(seconds), expiresIn: seconds, knownIn: maybe(seconds) }),
  ),
  account: maybe(fc.record({ failures, expiresIn: seconds })),
});
const policies: fc.Arbitrary<LoginThrottlePolicy> = fc.record({
  delaysSeconds: fc.array(
    fc.integer({ min: 0, max: 4 }).map((steps) => steps * STEP),
    { minLength: 1, maxLength: 6 },
  ),
  forgetAfterSeconds: later,
  maxPerAccount: fc.integer({ min: 1, max: 8 }),
  accountWindowSeconds: later,
  knownSourceAllowance: fc.integer({ min: 0, max: 4 }),
  knownSourceSeconds: later,
});

/** The policy in words of this language: what the throttle decides, and the counters that it leaves. */
function decide(
  { pair, account }: Counters,
  policy: LoginThrottlePolicy,
): Counters & { waitIn: number | null } {
  if (pair !== null && (pair.blockedIn ?? -1) > 0) return { pair, account, waitIn: pair.blockedIn };
  const isKnown = (pair?.knownIn ?? -1) > 0;
  const count = pair !== null && pair.expiresIn > 0 ? pair.failures + 1 : 1;
  const beyond = Math.max(1, count - (isKnown ? policy.knownSourceAllowance : 0));
  const { delaysSeconds } = policy;
  const counted = {
    failures: count,
    blockedIn: delaysSeconds[Math.min(beyond, delaysSeconds.length) - 1] ?? NaN,
    expiresIn: Math.max(pair?.knownIn ?? -Infinity, policy.forgetAfterSeconds),
    knownIn: pair?.knownIn ?? null,
  };
  if (account === null || account.expiresIn <= 0) {
    const first = { failures: 1, expiresIn: policy.accountWindowSeconds };
    return { pair: counted, account: first, waitIn: null };
  }
  if (account.failures >= policy.maxPerAccount && !isKnown)
    return { pair: counted, account, waitIn: account.expiresIn };
  return { pair: counted, account: { ...account, failures: account.failures + 1 }, waitIn: null };
}

const at = (parameter: string) => `clock_timestamp() + make_interval(secs => ${parameter})`;

async function write({ pair, account }: Counters): Promise<void> {
  await query('DELETE FROM login_throttle');
  if (pair) {
    const { failures: count, blockedIn, expiresIn, knownIn } = pair;
    await query(
      `INSERT INTO login_throttle (key, failures, blocked_until, expires_at, known_until)
       VALUES ($1, $2, ${at('$3')}, ${at('$4')}, ${at('$5')})`,
      [keys.pair, count, blockedIn, expiresIn, knownIn],
    );
  }
  if (account) {
    await query(`INSERT INTO login_throttle (key, failures, expires_at) VALUES ($1, $2, ${at('$3')})`, [
      keys.account,
      account.failures,
      account.expiresIn,
    ]);
  }
}

/** The counters, with times rounded to steps. */
async function read(): Promise<Counters> {
  const rounded = (column: string) =>
    `(round(extract(epoch FROM ${column} - clock_timestamp()) / ${STEP}) * ${STEP})::float8`;
  const rows = await query(
    `SELECT key, failures, ${rounded('blocked_until')} AS "blockedIn", ${rounded('expires_at')} AS "expiresIn",
            ${rounded('known_until')} AS "knownIn" FROM login_throttle`,
  );
  const [pair = null, account = null] = [keys.pair, keys.account].map((key) =>
    rows.find((row) => key.equals(row['key'] as Buffer)),
  );
  return {
    pair: pair && {
      failures: Number(pair['failures']),
      blockedIn: pair['blockedIn'] as number | null,
      expiresIn: Number(pair['expiresIn']),
      knownIn: pair['knownIn'] as number | null,
    },
    account: account && { failures: Number(account['failures']), expiresIn: Number(account['expiresIn']) },
  };
}

describe('postern_begin_login_1', () => {
  test('L09 L10 decides and counts as the policy says, and reads the user of an admitted attempt only', async () => {
    await fc.assert(
      fc.asyncProperty(counters, policies, async (before, policy) => {
        await write(before);
        const begun = await database.run(testCall(), (db) => beginLogin(db, keys, policy));
        const { waitIn, ...after } = decide(before, policy);
        expect(await read()).toEqual(after);
        if (begun.admitted) expect([null, userId]).toEqual([waitIn, begun.user?.id]);
        else expect(Math.round(begun.waitMs / 1_000 / STEP) * STEP).toBe(waitIn);
      }),
      { numRuns: 100 },
    );
  });
});

test('D22 only the transaction that counts an attempt ends without waiting for the disk', async () => {
  const setting = async (db: Knex) => {
    const { rows } = await db.raw<{ rows: object[] }>('SHOW synchronous_commit');
    return rows[0];
  };
  const counted = await database.transaction(testCall(), async (trx) => {
    await beginLogin(trx, keys, LOGIN_THROTTLE_POLICY);
    return setting(trx);
  });
  expect(counted).toEqual({ synchronous_commit: 'off' });
  const opened = await database.transaction(testCall(), async (trx) => {
    await openOne(trx, userId);
    return setting(trx);
  });
  expect(opened).toEqual({ synchronous_commit: 'on' });
});

describe('postern_open_session_2', () => {
  const users = fc.record({
    exists: fc.boolean(),
    disabled: fc.boolean(),
    hash: maybe(fc.constantFrom('one', 'two')),
    expected: maybe(fc.constantFrom('one', 'two')),
    stronger: maybe(fc.constant('three')),
    factor: maybe(fc.constantFrom('pending', 'confirmed')),
    acr: fc.constantFrom('aal1' as const, 'aal2' as const),
  });

  test('M02 changes nothing but for a user who is enabled, has the hash that was compared and has shown a factor if there is one', async () => {
    const email = 'bob@example.com';
    await fc.assert(
      fc.asyncProperty(users, async ({ exists, disabled, hash, expected, stronger, factor, acr }) => {
        const id = randomUUID();
        await query('DELETE FROM sessions');
        await query('DELETE FROM users WHERE email = $1', [email]);
        if (exists) {
          await query(
            `INSERT INTO users (id, email, password_hash, disabled_at) VALUES ($1, $2, $3, CASE WHEN $4 THEN now() END)`,
            [id, email, hash, disabled],
          );
          await query(
            `INSERT INTO factors (id, user_id, kind, name, sealed_secret, confirmed_at, pending_until)
             SELECT $1, $2, 'totp', 'phone', '\\x00', CASE WHEN $3 = 'confirmed' THEN now() END,
                    CASE WHEN $3 = 'pending' THEN now() END
             WHERE $3::text IS NOT NULL`,
            [randomUUID(), id, factor],
          );
        }
        const plain = openingOf(id, { expectedHash: expected, strongerHash: stronger });
        const { session } = plain;
        const opening = {
          ...plain,
          session: { ...session, authentication: { ...session.authentication, acr } },
        };
        const { outcome } = await database.run(testCall(), (db) => insertSession(db, opening));
        const isAsked = factor === 'confirmed' && acr === 'aal1';
        const changed = hash === expected ? (isAsked ? 'second-factor-required' : 'opened') : 'hash-changed';
        expect(outcome).toBe(exists ? (disabled ? 'disabled' : changed) : 'unknown-user');
        const [left] = await query(
          `SELECT (SELECT count(*)::int FROM sessions WHERE user_id = $1) AS sessions,
                  (SELECT count(*)::int FROM audit_events WHERE actor_id = $1::text AND target_id = $2::text) AS events,
                  (SELECT password_hash FROM users WHERE id = $1) AS hash`,
          [id, opening.session.id],
        );
        const isOpen = outcome === 'opened';
        const kept = exists ? hash : null;
        expect(left).toEqual({
          sessions: isOpen ? 1 : 0,
          events: isOpen ? 1 : 0,
          hash: isOpen ? (stronger ?? kept) : kept,
        });
      }),
      { numRuns: 150 },
    );
  });

  test('forgives the attempt: the source becomes known, and the account has one failure less', async () => {
    await fc.assert(
      fc.asyncProperty(counters, later, async (before, knownSourceSeconds) => {
        await write(before);
        const forgiven = { pair: keys.pair, account: keys.account, knownSourceSeconds };
        await database.run(testCall(), (db) => openOne(db, userId, { forgiven }));
        const { pair, account } = before;
        const known = { expiresIn: knownSourceSeconds, knownIn: knownSourceSeconds };
        expect(await read()).toEqual({
          pair: pair && { failures: 0, blockedIn: null, ...known },
          account: account && { ...account, failures: Math.max(0, account.failures - 1) },
        });
      }),
      { numRuns: 40 },
    );
  });

  test('S14 ends the oldest live sessions beyond the limit and no others, and revokes them', async () => {
    const sessions = fc.uniqueArray(
      fc.record({ age: fc.integer({ min: 1, max: 9 }), ended: fc.boolean(), expired: fc.boolean() }),
      { maxLength: 8, selector: ({ age }) => age },
    );
    await fc.assert(
      fc.asyncProperty(sessions, fc.integer({ min: 1, max: 5 }), async (made, maxSessions) => {
        await query('DELETE FROM sessions');
        const rows = made.map((session) => ({ ...session, id: randomUUID() }));
        for (const { id, age, ended, expired } of rows) {
          await query(
            `INSERT INTO sessions (id, user_id, nonce, audience, created_at, access_expires_at, expires_at, ended_at)
             VALUES ($1, $2, '\\x00', 'postern', now() - make_interval(days => $3::int), now() + interval '1 minute',
                     now() + CASE WHEN $4 THEN interval '-1 minute' ELSE interval '1 day' END, CASE WHEN $5 THEN now() END)`,
            [id, userId, age, expired, ended],
          );
        }
        const opening = openingOf(userId, { maxSessions });
        const opened = await database.run(testCall(), (db) => insertSession(db, opening));
        const live = rows.filter(({ ended, expired }) => !ended && !expired).sort((a, b) => a.age - b.age);
        const beyond = live.slice(maxSessions - 1).map(({ id }) => id);
        const revoked = opened.outcome === 'opened' ? opened.revocations.map(({ id }) => id) : [];
        expect(revoked.sort()).toEqual(beyond.sort());
        const stored = await query('SELECT id FROM revocations WHERE id = ANY ($1)', [beyond]);
        expect(stored).toHaveLength(beyond.length);
        const left = await query('SELECT id FROM sessions WHERE ended_at IS NULL AND expires_at > now()');
        expect(left).toHaveLength(live.length - beyond.length + 1);
      }),
      { numRuns: 40 },
    );
  });

  test('S14 of logins that race at the limit each ends another session', async () => {
    const racing = 8;
    for (let made = 0; made < 3; made += 1) await openOneOn(store);
    const opened = await Promise.all(Array.from({ length: racing }, () => openOneOn(store)));
    expect(opened.map(({ ended }) => ended)).toEqual(Array.from({ length: racing }, () => 1));
    const [row] = await query('SELECT count(*)::int AS live FROM sessions WHERE ended_at IS NULL');
    expect(row).toEqual({ live: 3 });
  });

  const openOneOn = ({ database: pool }: TestDatabase) => pool.run(testCall(), (db) => openOne(db, userId));
});
