import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { migrate } from '../../src/database/migrate.ts';
import { Database } from '../../src/database/database.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded/open-embedded-postgres.ts';
import { postmasterOf } from '../../src/database/embedded/process-state.ts';
import { account } from '../support/account.ts';
import { makeIssuerKey, mint, shapes } from '../support/outside-issuer.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { serviceEnvironment } from '../support/service-environment.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import type { TestDatabase } from '../support/test-database.ts';
import { addUser, type Message, type Outcome } from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const OWN = 'https://postern.example';
const ISSUER = 'https://kubernetes.default.svc';
const CALLERS = 6;
const key = makeIssuerKey('k1', 'ES256');

let dataDir: string;
let embedded: Awaited<ReturnType<typeof openEmbeddedPostgres>>;
let database: Database;
let url: string;
let service: ServiceProcess;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'postern-exchange-'));
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
  const keys = join(dataDir, 'issuer-keys.json');
  writeFileSync(keys, JSON.stringify({ keys: [key.jwk] }));
  for (const words of [
    ['service', 'create', 'billing'],
    ['issuer', 'add', ISSUER, '--kind', 'kubernetes', '--jwks', keys, '--once'],
    ['service', 'bind', 'billing', '--issuer', ISSUER, '--claim', 'sub=system:serviceaccount:shop:billing'],
  ])
    expect(await runPostern(words, { environment: environment() })).toMatchObject({ exitCode: 0 });
  service = await start();
}, 60_000);
afterAll(async () => {
  await endEveryPostern();
  await database.close();
  await embedded.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

const environment = () => ({ ...serviceEnvironment(url), POSTERN_ISSUER: OWN });

async function start(): Promise<ServiceProcess> {
  const started = await startServiceProcess(url, { POSTERN_ISSUER: OWN });
  await untilReady(started);
  return started;
}

async function query(sql: string, values: unknown[]): Promise<Record<string, unknown>[]> {
  const client = new Client({ ...embedded.connection });
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query<Record<string, unknown>>(sql, values).finally(() => client.end());
  return rows;
}

const jtiOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string }).jti;

interface Answer {
  readonly outside: string | null;
  readonly outcome: Outcome;
}

/** Calls ExchangeToken again and again until the fault, which happens once some calls were answered. */
async function exchangeUntil(fault: () => void): Promise<Answer[]> {
  const { access_token } = await account.login(service, email, password);
  const answers: Answer[] = [];
  let faultAtMs = Infinity;
  const exchange = async (request: Message, outside: string | null) => {
    const outcome = await service.call('postern.v1.AuthService/ExchangeToken', request);
    answers.push({ outside, outcome });
    if (answers.length === CALLERS * 5) {
      fault();
      faultAtMs = performance.now();
    }
    return outcome.response !== undefined;
  };
  await Promise.all(
    Array.from({ length: CALLERS }, async (_, caller) => {
      let answered = true;
      while (answered || faultAtMs === Infinity) {
        const outside =
          caller % 2 === 0 ? null : mint(key, { ...shapes.kubernetes(ISSUER, OWN), jti: randomUUID() });
        answered = await exchange({ subject_token: outside ?? access_token }, outside);
        if (performance.now() - faultAtMs > 5_000) break;
      }
    }),
  );
  return answers;
}

/** Every token that somebody has received is on record; otherwise nothing could revoke it. */
async function requireRecords(answers: readonly Answer[]): Promise<void> {
  const received = answers.flatMap(({ outcome }) =>
    outcome.response ? [jtiOf(String(outcome.response['access_token']))] : [],
  );
  expect(received.length).toBeGreaterThanOrEqual(CALLERS * 4);
  const rows = await query('SELECT id FROM service_tokens WHERE id = ANY ($1)', [received]);
  const recorded = new Set(rows.map(({ id }) => id));
  expect(received.filter((jti) => !recorded.has(jti))).toEqual([]);
  const events = await query(
    `SELECT count(*)::int AS count FROM audit_events WHERE action = 'token.exchange' AND outcome = 'ok' AND target_id = ANY ($1)`,
    [received],
  );
  expect(events).toEqual([{ count: received.length }]);
}

const refusals = (answers: readonly Answer[]) =>
  new Set(answers.flatMap(({ outcome }) => (outcome.response ? [] : [outcome.reason ?? outcome.code])));

test('W29 PostgreSQL is killed while tokens are exchanged: each token that was received is on record', async () => {
  const answers = await exchangeUntil(() =>
    process.kill(postmasterOf(join(dataDir, 'pgdata')) ?? 0, 'SIGKILL'),
  );
  await until(
    async () => (await query('SELECT 1 AS one', []).catch(() => [])).length === 1,
    'PostgreSQL is back',
  );
  await requireRecords(answers);
  for (const refusal of refusals(answers))
    expect(['STORE_UNAVAILABLE', 'SERVER_OVERLOADED']).toContain(refusal);
}, 60_000);

test('W29 the service is killed while tokens are exchanged: the same, and no token that counts once is exchanged twice', async () => {
  await untilReady(service);
  const answers = await exchangeUntil(() => service.running.kill('SIGKILL'));
  await requireRecords(answers);
  service = await start();
  for (const { outside, outcome } of answers
    .filter((answer) => answer.outside !== null)
    .slice(-CALLERS * 2)) {
    const again = await service.call('postern.v1.AuthService/ExchangeToken', { subject_token: outside });
    if (outcome.response) expect(again.reason).toBe('TOKEN_REPLAYED');
    else expect([undefined, 'TOKEN_REPLAYED']).toContain(again.reason);
  }
  await service.stop();
}, 60_000);
