import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as grpc from '@grpc/grpc-js';

import { metricDefinitions } from '../../src/observability/metrics/definitions.ts';
import { totpOf, wrongTotpOf } from '../support/second-factors.ts';
import { scrape } from '../support/scrape.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const AUTH = 'postern.v1.AuthService';
const email = 'ada@example.com';
const password = 'correct horse battery';
let service: TestService;
beforeAll(async () => {
  service = await startTestService({ POSTERN_REFRESH_GRACE: '5s' });
  await service.addUser(email, password);
});
afterAll(() => service.stop());

const login = async () => {
  const { response } = await service.call(`${AUTH}/Login`, { email, password });
  return response as { access_token: string; refresh_token: string };
};
const refresh = (token: string) => service.call(`${AUTH}/RefreshToken`, { refresh_token: token });
const verify = (token: string) => service.call(`${AUTH}/VerifyToken`, { access_token: token });

/** Calls an unknown method on the same port. */
async function callUnknown(path: string): Promise<grpc.status> {
  const client = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
  const empty = { serialize: () => Buffer.alloc(0), deserialize: () => null };
  const code = await new Promise<grpc.status>((resolve) =>
    client.makeUnaryRequest(path, empty.serialize, empty.deserialize, null, (error) =>
      resolve(error?.code ?? grpc.status.OK),
    ),
  );
  client.close();
  return code;
}

test('an invalid login request counts as malformed, not as a wrong credential or a failure', async () => {
  const before = await scrape(service.httpUrl);
  await service.call(`${AUTH}/Login`, { email: 'not an address', password });
  await service.call(`${AUTH}/Login`, { email, password: '' });
  await service.call(`${AUTH}/Login`, { email, password: 'x'.repeat(70_000) });
  await service.call(`${AUTH}/Login`, { email: 'nobody@example.com', password: 'wrong' });
  const after = await scrape(service.httpUrl);
  const outcomes = ['ok', 'challenged', 'refused', 'throttled', 'overloaded', 'malformed', 'failed'].map(
    (outcome) => [
      outcome,
      (after.value('postern_logins_total', { outcome }) ?? NaN) -
        (before.value('postern_logins_total', { outcome }) ?? 0),
    ],
  );
  expect(Object.fromEntries(outcomes)).toEqual({
    ok: 0,
    challenged: 0,
    refused: 1,
    throttled: 0,
    overloaded: 0,
    malformed: 3,
    failed: 0,
  });
});

test('operations are counted by outcome', async () => {
  const before = await scrape(service.httpUrl);
  const first = await login();
  await verify(first.access_token);
  await verify(first.access_token);
  await service.call(`${AUTH}/Login`, { email, password: 'wrong' });
  const second = (await refresh(first.refresh_token)).response as { refresh_token: string };
  await refresh(first.refresh_token);
  const third = (await refresh(second.refresh_token)).response as { refresh_token: string };
  await refresh(first.refresh_token);
  const fourth = await login();
  await service.call(`${AUTH}/RevokeToken`, { token: fourth.access_token });
  await refresh(third.refresh_token);

  const after = await scrape(service.httpUrl);
  const grown = (name: string, labels: Record<string, string>) =>
    (after.value(name, labels) ?? 0) - (before.value(name, labels) ?? 0);
  expect(grown('postern_logins_total', { outcome: 'ok' })).toBe(2);
  expect(grown('postern_logins_total', { outcome: 'refused' })).toBe(1);
  expect(grown('postern_logins_total', { outcome: 'failed' })).toBe(0);
  const outcomes = ['rotated', 'repeated', 'reused', 'refused', 'malformed', 'failed'];
  expect(outcomes.map((outcome) => grown('postern_refreshes_total', { outcome }))).toEqual([
    2, 1, 1, 1, 0, 0,
  ]);
  expect(grown('postern_revocations_total', { kind: 'session' })).toBe(2);
  expect(grown('postern_token_cache_misses_total', {})).toBeGreaterThanOrEqual(1);
  expect(grown('postern_token_cache_hits_total', {})).toBeGreaterThanOrEqual(1);
  const method = `${AUTH}/VerifyToken`;
  expect(grown('postern_rpc_calls_total', { method, code: 'OK' })).toBe(2);
  expect(grown('postern_rpc_duration_seconds_count', { method })).toBe(2);
  expect(grown('postern_rpc_duration_seconds_bucket', { method, le: '5' })).toBe(2);
  const reused = { method: `${AUTH}/RefreshToken`, reason: 'REFRESH_TOKEN_REUSED' };
  expect(grown('postern_rpc_refusals_total', reused)).toBe(1);
  expect(after.value('postern_signing_keys', { state: 'active' })).toBe(1);
  expect(after.value('postern_signing_key_age_seconds')).toBeGreaterThan(0);
  expect(after.value('postern_trust_state', { state: 'fresh' })).toBe(1);
  expect(after.value('postern_trust_age_seconds')).toBeLessThan(60);
  expect(after.value('postern_db_pool_max', { pool: 'service' })).toBe(10);
  expect(after.value('postern_db_pool', { pool: 'service', state: 'free' })).toBeGreaterThan(0);
  expect(after.value('postern_db_reachable')).toBe(1);
  expect(after.value('process_resident_memory_bytes')).toBeGreaterThan(1e7);
});

test('M62 second factors are counted by kind, outcome and change, and a challenge is no refusal', async () => {
  const user = { email: 'grace@example.com', password };
  await service.addUser(user.email, user.password);
  const before = await scrape(service.httpUrl);
  const authorization = `Bearer ${await service.tokenOf(user.email, user.password)}`;
  const { response: enrolment } = await service.call(
    `${AUTH}/EnrolTotp`,
    { name: 'phone' },
    { authorization },
  );
  const secret = String(enrolment?.['secret']);
  const confirmation = { factor_id: enrolment?.['factor_id'], code: totpOf(secret) };
  const { response: confirmed } = await service.call(`${AUTH}/ConfirmFactor`, confirmation, {
    authorization,
  });
  const [recoveryCode] = confirmed?.['recovery_codes'] as string[];
  for (const code of ['', totpOf(secret, 1), wrongTotpOf(secret), recoveryCode, recoveryCode, 'no code'])
    await service.call(`${AUTH}/Login`, { ...user, code });
  const after = await scrape(service.httpUrl);
  const grown = (name: string, labels: Record<string, string>) =>
    (after.value(name, labels) ?? NaN) - (before.value(name, labels) ?? NaN);
  const logins = (outcome: string) => grown('postern_logins_total', { outcome });
  expect(['ok', 'challenged', 'refused', 'failed'].map(logins)).toEqual([3, 1, 3, 0]);
  const factors = (kind: string) =>
    ['ok', 'refused'].map((outcome) => grown('postern_second_factors_total', { kind, outcome }));
  expect(['totp', 'recovery', 'passkey'].map(factors)).toEqual([
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
  const changes = ['totp-added', 'passkey-added', 'deleted', 'reset', 'recovery-codes-replaced'];
  expect(changes.map((change) => grown('postern_factor_changes_total', { change }))).toEqual([1, 0, 0, 0, 0]);
});

test('the delay of a revocation from another instance is measured from its transaction', async () => {
  const count = async () => (await scrape(service.httpUrl)).value('postern_revocation_delay_seconds_count');
  const sum = async () => (await scrape(service.httpUrl)).value('postern_revocation_delay_seconds_sum');
  const before = (await count()) ?? 0;
  const sumBefore = (await sum()) ?? 0;
  const { access_token: token } = await login();
  const { sid } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
    sid: string;
  };
  const insertedMs = performance.now();
  await service.database.query(
    `INSERT INTO revocations (kind, id, expires_at) VALUES ('sid', $1, now() + interval '1 hour')`,
    [sid],
  );
  const code = async () => (await verify(token)).reason;
  while ((await code()) !== 'TOKEN_REVOKED');
  const after = await scrape(service.httpUrl);
  expect(after.value('postern_revocation_delay_seconds_count')).toBe(before + 1);
  const seconds = ((await sum()) ?? 0) - sumBefore;
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThanOrEqual((performance.now() - insertedMs) / 1000);
});

test('O04 no caller can add series', async () => {
  const throwAtIt = async (times: number) => {
    for (let index = 0; index < times; index += 1) {
      const name = randomUUID();
      const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: name, typ: 'at+jwt' }));
      const claims = Buffer.from(JSON.stringify({ sub: name, iss: name }));
      const forged = `${header.toString('base64url')}.${claims.toString('base64url')}.${'A'.repeat(86)}`;
      await Promise.all([
        service.call(`${AUTH}/ResetPassword`, { reset_token: name, new_password: name }),
        service.call(`${AUTH}/IssueServiceToken`, { client_id: name, client_secret: name, audience: name }),
        verify(forged),
        refresh(`prt_${name}`),
        callUnknown(`/${name}/Method`),
        callUnknown(`/${AUTH}/${name}`),
        fetch(`${service.httpUrl}/${name}`),
        service.call(`${AUTH}/VerifyToken`, {}, { 'x-request-id': name, traceparent: name, [name]: name }),
      ]);
    }
    await Promise.all(
      Array.from({ length: times }, () =>
        service.call(`${AUTH}/Login`, { email: `${randomUUID()}@example.com`, password: 'no', audience: '' }),
      ),
    );
  };
  await throwAtIt(3);
  const before = await scrape(service.httpUrl);
  await throwAtIt(20);
  const after = await scrape(service.httpUrl);
  // On a busy machine a login may be refused as retryable.
  const lasting = ({ series }: typeof before) =>
    series.filter((one) => !/"(UNAVAILABLE|SERVER_OVERLOADED)"/.test(one));
  expect(lasting(after)).toEqual(lasting(before));
  expect(after.value('postern_rpc_calls_total')).toBeGreaterThan(
    before.value('postern_rpc_calls_total') ?? 0,
  );
  expect(after.series.filter((series) => /[0-9a-f]{8}-[0-9a-f]{4}|@/.test(series))).toEqual([]);
});

test('the labels are those in the documented table, and every metric of a service is served', async () => {
  const { types, samples } = await scrape(service.httpUrl);
  const ofSidecars = 'postern_upstream_connected';
  const promised = Object.values(metricDefinitions).filter(({ name }) => name !== ofSidecars);
  expect([...types.keys()]).toEqual(promised.map(({ name }) => name));
  for (const { name, type, labels } of promised) {
    const own = samples.filter((sample) =>
      type === 'histogram' ? sample.name === `${name}_count` : sample.name === name,
    );
    for (const sample of own) expect(Object.keys(sample.labels)).toEqual(labels);
  }
});
