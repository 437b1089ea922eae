import { randomBytes, randomUUID } from 'node:crypto';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { budgetOf, ownOrigin } from '../../../src/domain/operation-call.ts';
import { RepeatRateLimiter, repeatRateLimits } from '../../../src/features/sessions/repeat-rate-limiter.ts';
import { masterKeyOf } from '../../../src/crypto/sealed-envelope.ts';
import { RootKey } from '../../../src/features/root-key/root-key.ts';
import { refreshToken } from '../../../src/features/authentication/refresh-session.ts';
import { SessionRotator } from '../../../src/features/sessions/session-rotator.ts';
import { KeyedLimiter } from '../../../src/domain/concurrency/keyed-limiter.ts';
import { Database } from '../../../src/database/database.ts';
import { parseRefreshToken, RefreshTokens } from '../../../src/tokens/issue/refresh-token-codec.ts';
import { TrustBundle } from '../../../src/trust/trust-bundle.ts';
import { newHistory, type Outcome, type SessionUnderTest, sessionLives } from './refresh-machine.ts';
import { account, type Tokens } from '../../support/account.ts';
import { scrape } from '../../support/scrape.ts';
import {
  masterKey,
  type Outcome as Answer,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';

const password = 'correct horse battery';
let service: TestService;
let strict: TestService;
let users = 0;
beforeAll(async () => {
  service = await startTestService({
    POSTERN_REFRESH_GRACE: '1m',
    POSTERN_REFRESH_IDLE: '5m',
    POSTERN_REFRESH_TOKEN_TTL: '30m',
    POSTERN_SESSIONS_PER_USER: '3',
  });
  strict = await startTestService(
    { POSTERN_REFRESH_GRACE: '0s', POSTERN_SESSIONS_PER_USER: '3' },
    service.database,
  );
});
afterAll(async () => {
  await strict.stop();
  await service.stop();
});

async function newUser(): Promise<string> {
  users += 1;
  const email = `user${users}@example.com`;
  await service.addUser(email, password);
  return email;
}

const newSession = async (): Promise<Tokens> => account.login(service, await newUser(), password);

const refusals: Readonly<Record<string, Outcome>> = {
  REFRESH_TOKEN_REUSED: 'reuse',
  REFRESH_TOKEN_EXPIRED: 'expired',
  REFRESH_TOKEN_REVOKED: 'ended',
};

/** A session of the real service; time is advanced by moving all of its timestamps back. */
class RealSession implements SessionUnderTest {
  readonly #first: Tokens;
  /** The tokens issued, by generation less one. */
  readonly #tokens: string[];
  readonly #service: TestService;

  constructor(on: TestService, first: Tokens) {
    this.#service = on;
    this.#first = first;
    this.#tokens = [first.refresh_token];
  }

  async present(generation: number): Promise<Outcome> {
    const outcome = await account.tryRefresh(this.#service, this.#tokens[generation - 1] ?? '');
    if (!outcome.response) return refusals[outcome.reason ?? ''] ?? 0;
    const successor = String(outcome.response['refresh_token']);
    if (!this.#tokens.includes(successor)) this.#tokens.push(successor);
    return this.#tokens.indexOf(successor) + 1;
  }

  async advance(ms: number): Promise<void> {
    await service.database.query(
      `UPDATE sessions SET created_at = created_at - $2 * interval '1 ms', expires_at = expires_at - $2 * interval '1 ms',
              rotated_at = rotated_at - $2 * interval '1 ms' WHERE id = $1`,
      [this.#first.session_id, ms],
    );
  }

  async revoke(): Promise<void> {
    await account.revoke(this.#service, this.#tokens.at(-1) ?? '');
  }
}

describe('the service and its database follow the state machine of the decision', () => {
  const limits = { graceMs: 60_000, idleMs: 300_000, lifetimeMs: 1_800_000 };
  test.each([
    ['S03 S05 with a grace time', limits, () => service],
    ['S07 with none', { graceMs: 0, idleMs: 14 * 86_400_000, lifetimeMs: 30 * 86_400_000 }, () => strict],
  ])('%s', async (_name, given, on) => {
    const email = await newUser();
    await fc.assert(
      fc.asyncProperty(sessionLives(given, 20, 10_000), async (steps) => {
        const real = new RealSession(on(), await account.login(on(), email, password));
        await fc.asyncModelRun(() => ({ model: newHistory(given), real }), steps);
      }),
      { numRuns: 25, endOnFailure: true },
    );
  });
});

test('S03 S07 of 30 concurrent refreshes without a grace time at most one succeeds, and the session ends', async () => {
  const first = await account.login(strict, await newUser(), password);
  const verdicts = await Promise.all(
    Array.from({ length: 30 }, () => account.refreshVerdict(strict, first.refresh_token)),
  );
  expect(verdicts.filter((verdict) => verdict === 'OK').length).toBe(1);
  const others = verdicts.filter((verdict) => verdict !== 'OK');
  expect(others).toContain('REFRESH_TOKEN_REUSED');
  for (const verdict of others) expect(verdict).toMatch(/^REFRESH_TOKEN_(REUSED|REVOKED)$/);
});

test('S01 no token can be made from the contents of the database', async () => {
  const first = await newSession();
  const live = await account.refresh(service, first.refresh_token);
  const tables = await service.database.query(
    `SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`,
  );
  const dumps = await Promise.all(
    tables.map(({ tablename }) =>
      service.database.query(`SELECT to_jsonb(t) AS row FROM "${String(tablename)}" t`),
    ),
  );
  const text = JSON.stringify(dumps);
  const bytes = Buffer.from(live.refresh_token.slice(4), 'base64url');
  for (const secret of [bytes.subarray(36), bytes.subarray(0, 52)]) {
    for (const form of ['hex', 'base64', 'base64url'] as const)
      expect(text).not.toContain(secret.toString(form));
  }
  // No 32 bytes in the database are the root key: the test makes the session's tokens with each candidate.
  const [row] = await service.database.query('SELECT nonce, generation FROM sessions WHERE id = $1', [
    first.session_id,
  ]);
  const columns = await service.database.query(
    'SELECT sealed_key AS bytes FROM refresh_root UNION ALL SELECT sealed_private_key FROM signing_keys',
  );
  const forged = new Set<string>();
  for (const { bytes: held } of columns as { bytes: Buffer }[]) {
    for (let at = 0; at + 32 <= held.length; at += 1) {
      const candidate = new RefreshTokens(held.subarray(at, at + 32));
      forged.add(candidate.make(row?.['nonce'] as Buffer, first.session_id, Number(row?.['generation'])));
    }
  }
  expect(forged.size).toBeGreaterThan(28);
  expect(forged.has(live.refresh_token)).toBe(false);
  // The service accepts none of the best guesses, and none of them ends the session.
  for (const guess of [...forged].slice(0, 5)) {
    expect(await account.refreshVerdict(service, guess)).toBe('REFRESH_TOKEN_INVALID');
  }
  expect(await account.refreshVerdict(service, live.refresh_token)).toBe('OK');
});

test('S02 S18 malformed, forged and too frequent tokens are refused without a database query', async () => {
  const repeats = new RepeatRateLimiter(repeatRateLimits(60_000), () => performance.now());
  const database = new Database({
    address: { url: 'postgres://nobody@127.0.0.1:1/none' },
    applicationName: 'test',
    maxConnections: 1,
    warn: () => undefined,
  });
  const root = randomBytes(32);
  const dependencies = {
    database,
    refreshTokens: () => new RefreshTokens(root),
    rotator: new SessionRotator(database, {
      idleSeconds: 1,
      accessTokenSeconds: 1,
      audiences: [],
      auditRefreshes: 'all',
    }),
    sessionLimiter: new KeyedLimiter({ concurrency: 1, maxWaiting: 500, maxWaitMs: 1_000 }),
    policy: { idleSeconds: 1, graceSeconds: 1 },
    repeatRateLimiter: repeats,
  } as unknown as Parameters<typeof refreshToken>[0];
  const [older, genuine] = (['1', '2'] as const).map((form) =>
    new RefreshTokens(root, form).make(randomBytes(16), randomUUID(), 1),
  ) as [string, string];
  const forged = new RefreshTokens(randomBytes(32)).make(randomBytes(16), randomUUID(), 1);
  const tried = (text: string) =>
    refreshToken(dependencies, { refreshToken: text }, { ...budgetOf(1_000, Date.now()), origin: ownOrigin });
  for (const text of [
    '',
    'prt_',
    genuine.slice(1),
    `${genuine}=`,
    genuine.toUpperCase(),
    'x'.repeat(8_192),
    forged,
  ]) {
    await expect(tried(text)).rejects.toMatchObject({ rejection: { reason: 'REFRESH_TOKEN_INVALID' } });
  }
  for (const text of [genuine, older])
    await expect(tried(text)).rejects.toMatchObject({ rejection: { kind: 'store-unavailable' } });
  const { sessionId } = parseRefreshToken(genuine) ?? { sessionId: '' };
  while (repeats.take(sessionId, genuine, 60_000) === 0);
  await expect(tried(genuine)).rejects.toMatchObject({ rejection: { kind: 'refresh-rate-limited' } });
  await database.close();
});

test('S18 a token repeated many times within its grace time is rate limited, and its session continues', async () => {
  const first = await newSession();
  const second = await account.refresh(service, first.refresh_token);
  const before = await scrape(service.httpUrl);
  const answers: Answer[] = [];
  while (answers.length < 120) {
    const batch = Array.from({ length: 20 }, () => account.tryRefresh(service, first.refresh_token));
    answers.push(...(await Promise.all(batch)));
  }
  const good = answers.filter(({ code }) => code === status.OK);
  // One more is allowed for each 600 ms that this takes.
  expect(good.length).toBeGreaterThanOrEqual(100);
  const refused = answers.filter(({ code }) => code !== status.OK);
  expect(refused.length).toBeGreaterThan(0);
  for (const { response } of good) expect(response?.['refresh_token']).toBe(second.refresh_token);
  for (const { code, reason } of refused)
    expect([code, reason]).toEqual([status.RESOURCE_EXHAUSTED, 'REFRESH_RATE_LIMITED']);
  const after = await scrape(service.httpUrl);
  const counted = (outcome: string) =>
    (after.value('postern_refreshes_total', { outcome }) ?? 0) -
    (before.value('postern_refreshes_total', { outcome }) ?? 0);
  expect([counted('repeated'), counted('throttled')]).toEqual([good.length, refused.length]);
  // The newest token and the session are not affected.
  expect(await account.refreshVerdict(service, second.refresh_token)).toBe('OK');
  expect(await account.verdict(service, second.access_token)).toBe('OK');
}, 30_000);

test('S06 the end of a session by reuse is committed and audited before the refusal is sent', async () => {
  const first = await newSession();
  const second = await account.refresh(service, first.refresh_token);
  await account.refresh(service, second.refresh_token);
  expect(await account.refreshVerdict(service, first.refresh_token)).toBe('REFRESH_TOKEN_REUSED');
  const [ended] = await service.database.query('SELECT end_reason FROM sessions WHERE id = $1', [
    first.session_id,
  ]);
  expect(ended).toEqual({ end_reason: 'reuse' });
  expect(await account.refreshVerdict(strict, second.refresh_token)).toBe('REFRESH_TOKEN_REVOKED');
  const audited = await service.database.query(
    `SELECT outcome, details FROM audit_events WHERE action = 'token.reuse' AND target_id = $1`,
    [first.session_id],
  );
  expect(audited).toEqual([{ outcome: 'refused', details: { presented: 1, newest: 3 } }]);
});

test('S06 reuse ends the session even when the caller cancels once it is detected', async () => {
  const first = await newSession();
  const second = await account.refresh(service, first.refresh_token);
  await account.refresh(service, second.refresh_token);
  const { database } = service.database;
  const root = new RootKey();
  await root.prepare(database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  const left = new AbortController();
  let waits = 0;
  /** The second wait is the only one between the verdict and its effect. */
  class CancellingLimiter extends KeyedLimiter {
    override run<T>(key: string, work: () => Promise<T>): Promise<T> {
      waits += 1;
      if (waits === 2) left.abort();
      return super.run(key, work);
    }
  }
  const dependencies = {
    database,
    refreshTokens: () => root.tokens(),
    rotator: new SessionRotator(database, {
      idleSeconds: 300,
      accessTokenSeconds: 60,
      audiences: ['postern'],
      auditRefreshes: 'all',
    }),
    sessionLimiter: new CancellingLimiter({ concurrency: 1, maxWaiting: 1, maxWaitMs: 1_000 }),
    policy: { idleSeconds: 300, graceSeconds: 60 },
    repeatRateLimiter: new RepeatRateLimiter(repeatRateLimits(60_000), () => performance.now()),
    issuer: { serves: () => true },
    trust: new TrustBundle(),
  } as unknown as Parameters<typeof refreshToken>[0];
  const call = { ...budgetOf(1_000, Date.now()), signal: left.signal, origin: ownOrigin };
  const stolen = refreshToken(dependencies, { refreshToken: first.refresh_token }, call);
  await expect(stolen).rejects.toMatchObject({ rejection: { reason: 'REFRESH_TOKEN_REUSED' } });
  expect(left.signal.aborted).toBe(true);
  expect(await account.refreshVerdict(service, second.refresh_token)).toBe('REFRESH_TOKEN_REVOKED');
  const audited = await service.database.query(
    `SELECT outcome FROM audit_events WHERE action = 'token.reuse' AND target_id = $1`,
    [first.session_id],
  );
  expect(audited).toEqual([{ outcome: 'refused' }]);
});

test('S14 every login opens a new session, and beyond the limit the oldest ends', async () => {
  const email = await newUser();
  const sessions: Tokens[] = [];
  for (let count = 0; count < 5; count += 1) sessions.push(await account.login(service, email, password));
  expect(new Set(sessions.map(({ session_id }) => session_id)).size).toBe(5);
  const verdicts = await Promise.all(
    sessions.map(({ refresh_token }) => account.refreshVerdict(service, refresh_token)),
  );
  expect(verdicts).toEqual(['REFRESH_TOKEN_REVOKED', 'REFRESH_TOKEN_REVOKED', 'OK', 'OK', 'OK']);
  expect(await account.verdict(service, sessions[0]?.access_token ?? '')).toBe('TOKEN_REVOKED');
  const racers = await Promise.all(Array.from({ length: 8 }, () => account.login(service, email, password)));
  const [live] = await service.database.query(
    'SELECT count(*)::int FROM sessions WHERE user_id = $1 AND ended_at IS NULL',
    [racers[0]?.user_id],
  );
  expect(live).toEqual({ count: 3 });
});

test('S15 a refresh gives the current roles, and is refused for a disabled user or a removed audience', async () => {
  const first = await newSession();
  await service.database.query(`UPDATE users SET roles = '{auditor}' WHERE id = $1`, [first.user_id]);
  const second = await account.refresh(service, first.refresh_token);
  const verified = await service.call('postern.v1.AuthService/VerifyToken', {
    access_token: second.access_token,
  });
  expect(verified.response?.['roles']).toEqual(['auditor']);
  await service.database.query('UPDATE users SET disabled_at = now() WHERE id = $1', [first.user_id]);
  expect(await account.refreshVerdict(service, second.refresh_token)).toBe('REFRESH_TOKEN_REVOKED');
  await service.database.query('UPDATE users SET disabled_at = NULL WHERE id = $1', [first.user_id]);
  await service.database.query(`UPDATE sessions SET audience = 'gone' WHERE id = $1`, [first.session_id]);
  expect(await account.refreshVerdict(service, second.refresh_token)).toBe('REFRESH_TOKEN_REVOKED');
});

describe('S09 while another transaction locks the row of a session', () => {
  test('its calls fail soon with a retryable error, and other sessions are not affected', async () => {
    const [hot, cool] = [await newSession(), await newSession()];
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let locked: () => void = () => undefined;
    const isLocked = new Promise<void>((resolve) => (locked = resolve));
    const holding = service.database.database.unlimited(async (trx) => {
      await trx.raw('SELECT 1 FROM sessions WHERE id = ? FOR UPDATE', [hot.session_id]);
      locked();
      await held;
    });
    await isLocked;
    const startMs = performance.now();
    const hotCalls = Array.from({ length: 40 }, (_, index) =>
      index % 2 === 0
        ? account.tryRefresh(service, hot.refresh_token)
        : service.call('postern.v1.AuthService/RevokeToken', { token: hot.refresh_token }),
    );
    let newest = cool.refresh_token;
    const coolMs: number[] = [];
    for (let count = 0; count < 10; count += 1) {
      const beforeMs = performance.now();
      newest = (await account.refresh(service, newest)).refresh_token;
      coolMs.push(performance.now() - beforeMs);
    }
    const outcomes = await Promise.all(hotCalls);
    const hotMs = performance.now() - startMs;
    release();
    await holding;
    expect(new Set(outcomes.map(({ code }) => code))).toEqual(new Set([status.UNAVAILABLE]));
    expect(hotMs).toBeLessThan(2_000);
    expect(Math.max(...coolMs)).toBeLessThan(500);
    expect(await account.refreshVerdict(service, hot.refresh_token)).toBe('OK');
  });

  test('a caller who knows only its id cannot fill its queue', async () => {
    const session = await newSession();
    const stranger = new RefreshTokens(randomBytes(32));
    const forgeries = Array.from({ length: 600 }, () =>
      stranger.make(randomBytes(16), session.session_id, 1),
    );
    const refusing = forgeries.map((forgery) => account.refreshVerdict(service, forgery));
    expect(await account.refreshVerdict(service, session.refresh_token)).toBe('OK');
    expect(new Set(await Promise.all(refusing))).toEqual(new Set(['REFRESH_TOKEN_INVALID']));
  });
});
