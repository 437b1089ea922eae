import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { masterKeyOf } from '../../src/crypto/sealed-envelope.ts';
import { migrate } from '../../src/database/migrate.ts';
import { Database } from '../../src/database/database.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded/open-embedded-postgres.ts';
import { postmasterOf } from '../../src/database/embedded/process-state.ts';
import { RootKey } from '../../src/features/root-key/root-key.ts';
import { parseRefreshToken } from '../../src/tokens/issue/refresh-token-codec.ts';
import { account, type Tokens } from '../support/account.ts';
import { DatabaseProxy } from '../support/database-proxy.ts';
import { endEveryPostern } from '../support/run-postern.ts';
import { masterKey } from '../support/service-environment.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import type { TestDatabase } from '../support/test-database.ts';
import { addUser } from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
/** Enough for a batch. */
const SESSIONS = 8;
const environment = {
  POSTERN_REFRESH_GRACE: '10m',
  POSTERN_SESSIONS_PER_USER: '1000',
  POSTERN_HASH_CONCURRENCY: '2',
};

let dataDir: string;
let embedded: Awaited<ReturnType<typeof openEmbeddedPostgres>>;
let database: Database;
let url: string;
let proxy: DatabaseProxy;
let proxiedUrl: string;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'postern-crash-'));
  embedded = await openEmbeddedPostgres({ dataDir, ownerKind: 'service', report: () => undefined });
  const { host, port, user, database: name } = embedded.connection;
  url = `postgres://${user}@localhost:${port}/${name}?host=${encodeURIComponent(host)}`;
  database = new Database({
    address: embedded.connection,
    applicationName: 'test',
    maxConnections: 2,
    warn: () => undefined,
  });
  await migrate(database);
  await addUser({ database } as TestDatabase, email, password);
  proxy = new DatabaseProxy(url);
  proxiedUrl = `postgres://${user}@127.0.0.1:${await proxy.open()}/${name}`;
}, 60_000);
afterAll(async () => {
  await endEveryPostern();
  await proxy.close();
  await database.close();
  await embedded.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function query(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new Client({ ...embedded.connection });
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query<Record<string, unknown>>(sql, values).finally(() => client.end());
  return rows;
}

async function login(service: ServiceProcess, count: number): Promise<Tokens[]> {
  const sessions: Tokens[] = [];
  while (sessions.length < count) sessions.push(await account.login(service, email, password));
  return sessions;
}

async function auditedOf(sessions: readonly Tokens[]): Promise<number> {
  const [row] = await query(
    `SELECT count(*)::int AS count FROM audit_events WHERE action = 'token.refresh' AND target_id = ANY ($1)`,
    [sessions.map(({ session_id }) => session_id)],
  );
  return Number(row?.['count']);
}

/** The tokens of generation 2, made from the database and the master key. */
async function successorsOf(sessions: readonly Tokens[]): Promise<string[]> {
  const root = new RootKey();
  await root.prepare(database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  const rows = await query('SELECT id, nonce FROM sessions');
  const nonces = new Map(rows.map(({ id, nonce }) => [id, nonce as Buffer]));
  return sessions.map(({ session_id: id }) => root.tokens().make(nonces.get(id) ?? Buffer.alloc(32), id, 2));
}

describe('S04 S20 D02 a batch of refreshes that is committed, but whose answer is lost', () => {
  let service: ServiceProcess;
  let sessions: Tokens[];
  let answers: Promise<(string | null)[]>;
  beforeEach(async () => {
    service = await startServiceProcess(proxiedUrl, environment);
    await untilReady(service);
    sessions = await login(service, SESSIONS);
    proxy.losingAnswers = true;
    answers = Promise.all(
      sessions.map(({ refresh_token: token }) =>
        account.refresh(service, token).then(
          ({ refresh_token: next }) => next,
          () => null,
        ),
      ),
    );
    const ids = sessions.map(({ session_id }) => session_id);
    await until(async () => {
      const [row] = await query(
        'SELECT count(*)::int AS count FROM sessions WHERE id = ANY ($1) AND generation = 2',
        [ids],
      );
      return row?.['count'] === SESSIONS;
    }, 'the batch is committed');
    // Nobody was answered.
    expect(await Promise.race([answers, Promise.resolve('pending')])).toBe('pending');
  }, 60_000);

  test('because the service is killed: a repeat at another gives the same successors, and nothing is audited twice', async () => {
    service.running.kill('SIGKILL');
    expect(await answers).toEqual(sessions.map(() => null));
    proxy.losingAnswers = false;
    const other = await startServiceProcess(url, environment);
    await untilReady(other);
    const repeated = await Promise.all(
      sessions.map(({ refresh_token: token }) => account.refresh(other, token)),
    );
    expect(repeated.map(({ refresh_token: next }) => next)).toEqual(await successorsOf(sessions));
    expect(await auditedOf(sessions)).toBe(SESSIONS);
    await other.stop();
  }, 60_000);

  test('because PostgreSQL is killed: the same, at the same service', async () => {
    const expected = await successorsOf(sessions);
    const postmaster = postmasterOf(join(dataDir, 'pgdata'));
    proxy.losingAnswers = false;
    process.kill(postmaster ?? 0, 'SIGKILL');
    const answered = await answers;
    for (const [index, { refresh_token: token }] of sessions.entries()) {
      const [next, successor] = [answered[index], expected[index]];
      // A call may have repeated its rotation by itself, when PostgreSQL was back in time.
      expect([successor, null]).toContain(next);
      const verdict = () => account.refreshVerdict(service, token);
      await until(async () => (await verdict()) === 'OK', 'the refresh is repeated');
      expect((await account.refresh(service, token)).refresh_token).toBe(successor);
    }
    expect(await auditedOf(sessions)).toBe(SESSIONS);
    await service.stop();
  }, 60_000);
});

describe('two processes', () => {
  let older: ServiceProcess;
  let newer: ServiceProcess;
  beforeAll(async () => {
    older = await startServiceProcess(url, { ...environment, POSTERN_REFRESH_TOKEN_FORM: '1' });
    newer = await startServiceProcess(url, environment);
    await Promise.all([untilReady(older), untilReady(newer)]);
  }, 60_000);

  test('refresh each other’s tokens of both forms, and repeat them', async () => {
    for (const first of [...(await login(older, 1)), ...(await login(newer, 1))]) {
      let token = first.refresh_token;
      for (const [service, hasNonce] of [
        [newer, true],
        [older, false],
        [older, false],
        [newer, true],
      ] as const) {
        const before = token;
        token = (await account.refresh(service, token)).refresh_token;
        expect(parseRefreshToken(token)?.nonce !== null).toBe(hasNonce);
        const elsewhere = service === newer ? older : newer;
        const repeated = (await account.refresh(elsewhere, before)).refresh_token;
        expect(parseRefreshToken(repeated)).toMatchObject({
          sessionId: first.session_id,
          generation: parseRefreshToken(token)?.generation,
        });
      }
      expect(await auditedOf([first])).toBe(4);
      // Reuse is found in either form.
      expect(await account.refreshVerdict(older, first.refresh_token)).toBe('REFRESH_TOKEN_REUSED');
      expect(await account.refreshVerdict(newer, token)).toBe('REFRESH_TOKEN_REVOKED');
    }
  }, 60_000);

  test('S03 D02 10,000 racing refreshes: each rotation has one winner and one audit event', async () => {
    const rounds = 100;
    const sessions = await login(newer, 50);
    const tokens = sessions.map(({ refresh_token: token }) => token);
    let calls = 0;
    for (let round = 1; round <= rounds; round += 1) {
      const raced = await Promise.all(
        tokens.map((token) => Promise.all([older, newer].map((service) => account.refresh(service, token)))),
      );
      calls += raced.flat().length;
      for (const [index, [one, two]] of raced.entries()) {
        const parsed = [one, two].map((each) => parseRefreshToken(each?.refresh_token ?? '')?.generation);
        expect(parsed).toEqual([round + 1, round + 1]);
        tokens[index] = (round % 2 === 0 ? one : two)?.refresh_token ?? '';
      }
    }
    expect(calls).toBe(10_000);
    const generations = await query('SELECT DISTINCT generation FROM sessions WHERE id = ANY ($1)', [
      sessions.map(({ session_id: id }) => id),
    ]);
    expect(generations).toEqual([{ generation: rounds + 1 }]);
    expect(await auditedOf(sessions)).toBe(50 * rounds);
  }, 300_000);
});
