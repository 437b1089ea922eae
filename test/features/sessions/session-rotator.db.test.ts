import { randomBytes, randomUUID } from 'node:crypto';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { budgetOf, type OperationCall, ownOrigin } from '../../../src/domain/operation-call.ts';
import { decideRefresh, sessionEndMs } from '../../../src/features/sessions/refresh-decision.ts';
import {
  type Rotation,
  type RotationPolicy,
  type RotationResult,
  type RotationRow,
  rotateSession,
  rotateSessions,
  toRotationResult,
} from '../../../src/features/sessions/rotation-queries.ts';
import { SessionRotator } from '../../../src/features/sessions/session-rotator.ts';
import type { Database, PreparedStatement } from '../../../src/database/database.ts';
import { testCall } from '../../support/test-call.ts';
import { until } from '../../support/wait-for.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const policy: RotationPolicy = {
  idleSeconds: 60,
  accessTokenSeconds: 60,
  audiences: ['postern', 'ledger'],
  auditRefreshes: 'all',
};
const limits = { idleMs: 60_000, graceMs: 10_000 };
const origin = {
  ...ownOrigin,
  address: '2001:db8::1',
  userAgent: 'a "quoted", agent \\ NULL',
  requestId: 'r',
};
let store: TestDatabase;
let userId: string;
let disabledId: string;
beforeAll(async () => {
  store = await createTestDatabase();
  const [user, disabled] = await store.query(
    `INSERT INTO users (id, email, roles, disabled_at) VALUES (gen_random_uuid(), 'a@example.com', '{auditor}', NULL),
            (gen_random_uuid(), 'b@example.com', '{}', now()) RETURNING id`,
  );
  userId = String(user?.['id']);
  disabledId = String(disabled?.['id']);
});
afterAll(() => store.drop());

const call = (): OperationCall => ({ ...testCall(), origin });
const rotationOf = (session: { id: string; nonce: Buffer }, to = 2): Rotation => ({
  sessionId: session.id,
  nonce: session.nonce.subarray(0, 16),
  to,
  origin,
});

/** The part of a session that a decision depends on; times are ms before now, negative for later. */
interface SessionState {
  readonly generation: number;
  readonly createdMs: number;
  readonly rotatedMs: number | null;
  readonly expiresMs: number;
  readonly ended: boolean;
  readonly disabled: boolean;
  readonly audience: string;
}

const fresh: SessionState = {
  generation: 1,
  createdMs: 0,
  rotatedMs: null,
  expiresMs: -600_000,
  ended: false,
  disabled: false,
  audience: 'postern',
};

async function insertSessions(states: readonly SessionState[]): Promise<{ id: string; nonce: Buffer }[]> {
  const made = states.map((state, index) => ({
    ...state,
    id: randomUUID(),
    nonce: randomBytes(index % 2 ? 16 : 32),
  }));
  await store.query(
    `INSERT INTO sessions (id, user_id, nonce, generation, audience, created_at, rotated_at, access_expires_at, expires_at, ended_at)
     SELECT s.id, s.user_id, decode(s.nonce, 'hex'), s.generation, s.audience, now() - s."createdMs" * interval '1 ms',
            now() - s."rotatedMs" * interval '1 ms', now(), now() - s."expiresMs" * interval '1 ms',
            CASE WHEN s.ended THEN now() END
     FROM json_to_recordset($1::json) AS s (id uuid, user_id uuid, nonce text, generation int, audience text,
            "createdMs" int, "rotatedMs" int, "expiresMs" int, ended boolean)`,
    [
      JSON.stringify(
        made.map((one) => ({
          ...one,
          nonce: one.nonce.toString('hex'),
          user_id: one.disabled ? disabledId : userId,
        })),
      ),
    ],
  );
  return made;
}

const newSessions = (count: number) => insertSessions(Array.from({ length: count }, () => fresh));

async function auditedOf(ids: readonly string[]): Promise<number> {
  const [row] = await store.query(
    `SELECT count(*)::int AS count FROM audit_events WHERE action = 'token.refresh' AND target_id = ANY ($1)`,
    [ids],
  );
  return Number(row?.['count']);
}

describe('the WHERE clause of the rotation and decideRefresh decide alike', () => {
  const generation = fc.integer({ min: 1, max: 4 });
  const offset = fc.oneof(
    fc.integer({ min: -120_000, max: 120_000 }),
    // Near the idle end, the grace end and the present.
    fc.constantFrom(0, 10_000, 60_000).chain((edge) => fc.integer({ min: edge - 400, max: edge + 400 })),
  );
  const state: fc.Arbitrary<SessionState> = fc.record({
    generation,
    createdMs: offset,
    rotatedMs: fc.option(offset),
    expiresMs: offset.map((ms) => -ms),
    ended: fc.integer({ min: 0, max: 5 }).map((roll) => roll === 0),
    disabled: fc.integer({ min: 0, max: 5 }).map((roll) => roll === 0),
    audience: fc.constantFrom('postern', 'postern', 'ledger', 'gone'),
  });
  const cases = fc.array(fc.record({ state, presented: generation }), { minLength: 60, maxLength: 60 });
  const singly = (rotations: readonly Rotation[]) =>
    Promise.all(rotations.map((rotation) => rowsOf(rotateSession(rotation, policy)))).then((rows) =>
      rows.flat(),
    );
  const together = (rotations: readonly Rotation[]) => rowsOf(rotateSessions(rotations, policy));
  const rowsOf = (statement: PreparedStatement) => store.database.query<RotationRow>(call(), statement);

  test.each([
    ['one session a statement', singly],
    ['all in one statement', together],
  ])('%s', async (_name, rotate) => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        const sessions = await insertSessions(given.map((one) => one.state));
        const rows = await rotate(
          sessions.map((session, index) => rotationOf(session, (given[index]?.presented ?? 0) + 1)),
        );
        expect(rows).toHaveLength(given.length);
        const results = new Map(rows.map((row) => [row.id, toRotationResult(row)]));
        let rotated = 0;
        for (const [index, { id }] of sessions.entries()) {
          const { session, rotatedAtMs } = results.get(id) as RotationResult;
          const presented = given[index]?.presented ?? 0;
          const decision = decideRefresh(session, presented, session.nowMs, limits).kind;
          const mayRotate =
            decision === 'rotate' && !session.userDisabled && policy.audiences.includes(session.audience);
          // In the millisecond of the end, PostgreSQL goes by microseconds.
          const isAtEnd = session.nowMs === sessionEndMs(session, limits);
          if (!isAtEnd) expect([given[index], rotatedAtMs !== null]).toEqual([given[index], mayRotate]);
          const kind = decision === 'rotate' && !mayRotate ? 'not eligible' : decision;
          seen.set(kind, (seen.get(kind) ?? 0) + 1);
          if (rotatedAtMs !== null) rotated += 1;
        }
        const ids = sessions.map(({ id }) => id);
        expect(await auditedOf(ids)).toBe(rotated);
      }),
      { numRuns: 12, endOnFailure: true },
    );
    for (const kind of ['rotate', 'repeat', 'reuse', 'expired', 'ended', 'not eligible'])
      expect([kind, (seen.get(kind) ?? 0) > 3]).toEqual([kind, true]);
  });
});

describe('R30 with POSTERN_AUDIT_REFRESHES=daily', () => {
  const daily: RotationPolicy = { ...policy, idleSeconds: 1_000_000, auditRefreshes: 'daily' };
  const sinceMidnight = Date.now() % 86_400_000;
  const run = (statement: PreparedStatement) => store.database.query<RotationRow>(call(), statement);
  const singly = (rotations: readonly Rotation[]) =>
    Promise.all(rotations.map((rotation) => run(rotateSession(rotation, daily)))).then((rows) => rows.flat());
  const together = (rotations: readonly Rotation[]) => run(rotateSessions(rotations, daily));

  test.each([
    ['one session a statement', singly],
    ['all in one statement', together],
  ])('the first refresh of a session each day (UTC) is recorded, %s', async (_name, rotate) => {
    const sessions = await insertSessions([
      fresh,
      { ...fresh, createdMs: sinceMidnight + 200_000, rotatedMs: sinceMidnight + 100_000 },
      { ...fresh, createdMs: 0, rotatedMs: 0 },
      // By a clock of the database that was weeks ahead.
      { ...fresh, createdMs: 0, rotatedMs: -20 * 86_400_000 },
    ]);
    const recorded = () => Promise.all(sessions.map(({ id }) => auditedOf([id])));
    expect(await rotate(sessions.map((session) => rotationOf(session)))).toHaveLength(4);
    expect(await recorded()).toEqual([1, 1, 0, 1]);
    const again = await rotate(sessions.map((session) => rotationOf(session, 3)));
    expect(again.map(({ rotated_now }) => rotated_now === null)).toEqual([false, false, false, false]);
    expect(await recorded()).toEqual([1, 1, 0, 1]);
  });
});

describe('S20 a rotator', () => {
  /** The names of the statements that were sent, and how many of them were on their way at once. */
  let sent: string[];
  let concurrent: number;
  let maxBatches: number;
  let singles: number;
  let maxSingles: number;
  let rotator: SessionRotator;
  beforeEach(() => {
    [sent, concurrent, maxBatches, singles, maxSingles] = [[], 0, 0, 0, 0];
    const database = {
      maxConnections: store.database.maxConnections,
      waitFor: store.database.waitFor.bind(store.database),
      async query(budget: OperationCall, statement: PreparedStatement) {
        sent.push(statement.name);
        const isBatch = statement.name === 'refresh-sessions';
        if (isBatch) maxBatches = Math.max(maxBatches, ++concurrent);
        else maxSingles = Math.max(maxSingles, ++singles);
        try {
          return await store.database.query(budget, statement);
        } finally {
          if (isBatch) concurrent -= 1;
          else singles -= 1;
        }
      },
    } as unknown as Database;
    rotator = new SessionRotator(database, policy);
  });
  const rotateAll = (rotations: readonly Rotation[]) =>
    Promise.all(rotations.map((rotation) => rotator.rotate(call(), rotation)));
  const winners = (results: readonly (RotationResult | null)[]) =>
    results.filter((result) => result && result.rotatedAtMs !== null).length;

  test('sends up to three calls singly, and more in batches of at most 64, two at a time', async () => {
    const few = await newSessions(3);
    expect(winners(await rotateAll(few.map((one) => rotationOf(one))))).toBe(3);
    expect(sent).toEqual(['refresh-session', 'refresh-session', 'refresh-session']);
    sent = [];
    const many = await newSessions(300);
    const results = await rotateAll(many.map((one) => rotationOf(one)));
    expect(winners(results)).toBe(300);
    expect(results.map((result) => result?.session.nonce)).toEqual(many.map(({ nonce }) => nonce));
    expect(sent).toEqual(Array.from({ length: 5 }, () => 'refresh-sessions'));
    expect(maxBatches).toBe(2);
    expect(await auditedOf(many.map(({ id }) => id))).toBe(300);
    const [event] = await store.query(
      `SELECT outcome, actor_type, actor_id, target_type, host(client_address) AS address, user_agent, request_id
       FROM audit_events WHERE target_id = $1`,
      [many[7]?.id],
    );
    expect(event).toEqual({
      outcome: 'ok',
      actor_type: 'user',
      actor_id: userId,
      target_type: 'session',
      address: '2001:db8::1',
      user_agent: origin.userAgent,
      request_id: 'r',
    });
  });

  test('sends rows that somebody holds, and a session named twice, by themselves', async () => {
    const [held, ...others] = await newSessions(8);
    if (!held) throw new Error('no session');
    const { ofHeld } = await store.database.unlimited(async (trx) => {
      await trx.raw('SELECT FROM sessions WHERE id = ? FOR NO KEY UPDATE', [held.id]);
      const ofHeld = rotator.rotate(call(), rotationOf(held));
      const ofOthers = rotateAll(others.map((one) => rotationOf(one)));
      expect(winners(await ofOthers)).toBe(7);
      // A transaction would wait for the promise itself.
      return { ofHeld };
    });
    expect((await ofHeld)?.rotatedAtMs).not.toBeNull();
    expect(sent).toEqual(['refresh-sessions', 'refresh-session']);
    sent = [];
    const [twice, ...rest] = await newSessions(5);
    if (!twice) throw new Error('no session');
    const results = await rotateAll([twice, ...rest, twice].map((one) => rotationOf(one)));
    expect(winners(results)).toBe(5);
    // The second call leaves beside the batch. When it locks the row first, the batch leaves that row out as well.
    expect(sent.filter((name) => name === 'refresh-sessions')).toHaveLength(1);
    expect([2, 3]).toContain(sent.length);
  });

  test('S09 does not keep others waiting while single statements wait for held rows', async () => {
    const [one, two, ...others] = await newSessions(7);
    if (!one || !two) throw new Error('no session');
    const { ofHeld } = await store.database.unlimited(async (trx) => {
      await trx.raw('SELECT FROM sessions WHERE id IN (?, ?) FOR NO KEY UPDATE', [one.id, two.id]);
      let ended = 0;
      const held: Promise<unknown>[] = [];
      for (const session of [one, two]) {
        held.push(rotator.rotate(call(), rotationOf(session)).finally(() => (ended += 1)));
        await until(() => sent.length === held.length, 'the statement is sent');
      }
      expect(winners(await rotateAll(others.map((other) => rotationOf(other))))).toBe(5);
      expect(ended).toBe(0);
      return { ofHeld: Promise.all(held) };
    });
    await ofHeld;
  });

  test('S09 a batch of held rows does not take every connection', async () => {
    const sessions = await newSessions(64);
    const { ofHeld } = await store.database.unlimited(async (trx) => {
      await trx.raw('SELECT FROM sessions WHERE id = ANY (?) FOR NO KEY UPDATE', [
        sessions.map(({ id }) => id),
      ]);
      const ofHeld = Promise.allSettled(sessions.map((one) => rotator.rotate(call(), rotationOf(one))));
      await until(() => maxSingles > 0, 'the first statement waits for its row');
      await store.database.run(testCall(), (db) => db.raw('SELECT 1'));
      return { ofHeld };
    });
    const results = (await ofHeld).map((result) => (result.status === 'fulfilled' ? result.value : null));
    expect(winners(results)).toBe(64);
    expect(sent).toHaveLength(65);
    expect(maxSingles).toBe(Math.ceil(store.database.maxConnections / 2));
  });

  test('a row that cannot be read fails its own call only', async () => {
    const [damaged, ...others] = await newSessions(5);
    if (!damaged) throw new Error('no session');
    await store.query(`UPDATE sessions SET expires_at = 'infinity' WHERE id = $1`, [damaged.id]);
    for (const round of [2, 3]) {
      const [failed, ...results] = await Promise.allSettled(
        [damaged, ...others].map((one) => rotator.rotate(call(), rotationOf(one, round))),
      );
      expect(failed).toMatchObject({ status: 'rejected' });
      expect(results.map(({ status }) => status)).toEqual(others.map(() => 'fulfilled'));
    }
    expect(sent).toEqual(['refresh-sessions', 'refresh-sessions']);
  });

  test('answers null for a session that is unknown, or has another nonce', async () => {
    const [one, ...others] = await newSessions(5);
    if (!one) throw new Error('no session');
    const wrong = { ...rotationOf(one), nonce: randomBytes(16) };
    const unknown = { ...rotationOf(one), sessionId: randomUUID() };
    const results = await rotateAll([wrong, unknown, ...others.map((other) => rotationOf(other))]);
    expect(results.slice(0, 2)).toEqual([null, null]);
    expect(winners(results)).toBe(4);
    expect(await auditedOf([one.id])).toBe(0);
  });

  test('repeats each call of a batch that failed, within its own budget', async () => {
    const [bad, ...good] = await newSessions(6);
    if (!bad) throw new Error('no session');
    const faulty = { ...rotationOf(bad), origin: { ...origin, address: 'no address' } };
    const [failed, ...results] = await Promise.allSettled(
      [faulty, ...good.map((one) => rotationOf(one))].map((rotation) => rotator.rotate(call(), rotation)),
    );
    expect(failed).toMatchObject({ status: 'rejected', reason: { code: '22P02' } });
    expect(results.map(({ status }) => status)).toEqual(good.map(() => 'fulfilled'));
    expect(sent).toEqual(['refresh-sessions', ...Array.from({ length: 6 }, () => 'refresh-session')]);
    expect(await auditedOf(good.map(({ id }) => id))).toBe(5);
  });

  test('leaves out calls that have given up before they are sent', async () => {
    const sessions = await newSessions(6);
    const left = new AbortController();
    const calls = sessions.map((one, index) =>
      rotator.rotate(
        index === 0 ? { ...budgetOf(60_000, Date.now()), signal: left.signal } : call(),
        rotationOf(one),
      ),
    );
    left.abort();
    const [first, ...others] = await Promise.allSettled(calls);
    expect(first).toMatchObject({ status: 'rejected', reason: { rejection: { kind: 'cancelled' } } });
    expect(others.map(({ status }) => status)).toEqual(others.map(() => 'fulfilled'));
    expect(await auditedOf([sessions[0]?.id ?? ''])).toBe(0);
  });
});
