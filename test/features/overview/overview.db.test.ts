import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as grpc from '@grpc/grpc-js';

import { checkedBy } from '../../services/ext-authz/check.ts';
import { callOverHttp } from '../../support/call-over-http.ts';
import { scrape } from '../../support/scrape.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';

const AUTH = 'postern.v1.AuthService';
const OVERVIEW = 'postern.v1.AdminService/GetOverview';
const password = 'correct horse battery';
let service: TestService;
let admin: Record<string, string>;
beforeAll(async () => {
  service = await startTestService({ POSTERN_HTTP_RPC: 'admin' });
  await service.addUser('root@example.com', password, ['admin']);
  await service.addUser('ann@example.com', password);
  admin = { authorization: `Bearer ${await service.tokenOf('root@example.com', password)}` };
});
afterAll(() => service.stop());

interface Overview {
  readonly instance_id: string;
  readonly started_at: { readonly seconds: string };
  readonly version: string;
  readonly totals: Record<'users' | 'live_sessions' | 'service_accounts', object>;
  readonly logins: Record<string, number>;
  readonly refreshes: number;
  readonly revocations: number;
  readonly verifications: Record<'ok' | 'refused' | 'cache_hits', number>;
  readonly rpcs: number;
  readonly revocation_delays: { bounds_seconds: number[]; cumulative_counts: number[]; sum_seconds: number };
  readonly watchers: number;
  readonly trust: { readonly age_seconds: number; readonly max_staleness_seconds: number };
  readonly hash_queue: Record<string, number>;
  readonly database: Record<string, unknown>;
}

async function overview(): Promise<Overview> {
  const { response, message } = await service.call(OVERVIEW, {}, admin);
  if (!response) throw new Error(message);
  return response as unknown as Overview;
}

test('C20 the counters grow with the calls, and are those of /metrics', async () => {
  const before = await overview();
  const login = (sent: string) => service.call(`${AUTH}/Login`, { email: 'ann@example.com', password: sent });
  const { access_token: token, refresh_token: refreshToken } = (await login(password)).response as {
    access_token: string;
    refresh_token: string;
  };
  await login('wrong');
  const verify = async () => (await service.call(`${AUTH}/VerifyToken`, { access_token: token })).reason;
  await verify();
  await verify();
  await service.call(`${AUTH}/RefreshToken`, { refresh_token: refreshToken });
  await service.call(`${AUTH}/RevokeToken`, { token });
  expect(await verify()).toBe('TOKEN_REVOKED');
  // The delay of this instance's own revocation is known once the database was read again.
  const measured = ({ revocation_delays: { cumulative_counts: counts } }: Overview) => counts.at(-1) ?? 0;
  let after = await overview();
  while (measured(after) === measured(before)) after = await overview();

  const grown = (read: (overview: Overview) => number) => read(after) - read(before);
  expect(after.instance_id).toBe(before.instance_id);
  expect(after.instance_id).toMatch(/^[0-9a-f-]{36}$/);
  expect(after.version).toMatch(/^\d+\.\d+\.\d+/);
  expect(grown(({ logins }) => logins['ok'] ?? NaN)).toBe(1);
  expect(grown(({ logins }) => logins['wrong_credentials'] ?? NaN)).toBe(1);
  expect(grown(({ logins }) => logins['other'] ?? NaN)).toBe(0);
  expect(grown(({ refreshes }) => refreshes)).toBe(1);
  expect(grown(({ revocations }) => revocations)).toBe(1);
  expect(grown(({ verifications }) => verifications.ok)).toBe(2);
  expect(grown(({ verifications }) => verifications.refused)).toBe(1);
  expect(grown(({ verifications }) => verifications.cache_hits)).toBeGreaterThanOrEqual(1);
  expect(grown(({ rpcs }) => rpcs)).toBeGreaterThanOrEqual(7);
  expect(grown(measured)).toBe(1);
  expect(grown(({ revocation_delays }) => revocation_delays.sum_seconds)).toBeGreaterThan(0);
  expect(after.revocation_delays.cumulative_counts).toHaveLength(
    after.revocation_delays.bounds_seconds.length + 1,
  );

  const metrics = await scrape(service.httpUrl);
  expect(after.logins['ok']).toBe(metrics.value('postern_logins_total', { outcome: 'ok' }));
  expect(measured(after)).toBe(metrics.value('postern_revocation_delay_seconds_count'));
  expect(after.trust).toEqual({ age_seconds: expect.any(Number), max_staleness_seconds: 300 });
  expect(after.hash_queue).toMatchObject({ running: 0, waiting: 0, capacity: 65 });
  expect(after.hash_queue['average_seconds']).toBeGreaterThan(0);
  expect(after.database).toMatchObject({ reachable: true, circuit_open: false, connections_max: 10 });
  expect(after.watchers).toBe(0);
});

test('C20 a denial of Check is a refused verification, although its status is OK', async () => {
  const { authorization = '' } = admin;
  const before = (await overview()).verifications;
  expect((await checkedBy(service, { headers: { authorization } })).allowed).toBe(true);
  expect((await checkedBy(service, { headers: {} })).allowed).toBe(false);
  expect((await checkedBy(service, { headers: { authorization: 'Bearer nothing' } })).allowed).toBe(false);
  const after = (await overview()).verifications;
  expect([after.ok - before.ok, after.refused - before.refused]).toEqual([1, 2]);
});

test('C20 over HTTP the counts are JSON numbers', async () => {
  const { status, json } = await callOverHttp(`${service.httpUrl}/${OVERVIEW}`, {}, admin);
  expect(status).toBe(200);
  expect(json).toMatchObject({
    totals: { users: { count: 2 } },
    logins: { ok: expect.any(Number) },
    trust: { ageSeconds: expect.any(Number), maxStalenessSeconds: 300 },
  });
});

test('C21 nobody else is answered; only refusals are in the audit trail', async () => {
  const ann = await service.tokenOf('ann@example.com', password);
  const events = async (requestId: string) =>
    service.database.query('SELECT action, outcome, reason FROM audit_events WHERE request_id = $1', [
      requestId,
    ]);
  const [refused, answered] = [randomUUID(), randomUUID()];
  const { reason } = await service.call(
    OVERVIEW,
    {},
    {
      authorization: `Bearer ${ann}`,
      'x-request-id': refused,
    },
  );
  expect(reason).toBe('ADMIN_REQUIRED');
  expect((await service.call(OVERVIEW, {})).reason).toBe('CREDENTIALS_MISSING');
  expect((await service.call(OVERVIEW, {}, { ...admin, 'x-request-id': answered })).code).toBe(
    grpc.status.OK,
  );
  expect(await events(refused)).toEqual([
    { action: 'overview.read', outcome: 'refused', reason: 'ADMIN_REQUIRED' },
  ]);
  expect(await events(answered)).toEqual([]);
});
