import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { checkedBy } from '../services/ext-authz/check.ts';
import { postAsPage } from '../support/browser-request.ts';
import { until } from '../support/wait-for.ts';
import { runPostern, startPostern } from '../support/run-postern.ts';
import { attributesOf, Collector } from '../support/collector.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { invoke, startTestService } from '../support/test-service.ts';
import { anyPorts } from '../support/service-environment.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const verify = 'postern.v1.AuthService/VerifyToken';
let store: TestDatabase;
let credential: Record<string, string>;
const folder = mkdtempSync(`${tmpdir()}/postern-`);
const listeners = anyPorts;
beforeAll(async () => {
  store = await createTestDatabase();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await store.drop();
});

test('S13 the sidecar starts while the service is down, becomes ready when it is up, and works without it until its trust data is stale', async () => {
  const first = await startTestService({}, store);
  const { port } = new URL(`http://${first.grpcAddress}`);
  await first.addUser(email, password);
  const [token, revoked] = [await first.tokenOf(email, password), await first.tokenOf(email, password)];
  const { id, secret } = await (await openAdminFixture(store)).createService('sidecar');
  credential = { POSTERN_CLIENT_ID: id, POSTERN_CLIENT_SECRET: secret };
  await first.stop();

  const collector = new Collector();
  const sidecar = startPostern(['sidecar', '--upstream', `127.0.0.1:${port}`], {
    environment: {
      ...credential,
      POSTERN_GRPC_LISTEN: `unix:${folder}/sidecar.sock`,
      POSTERN_HTTP_LISTEN: '127.0.0.1:0',
      POSTERN_MAX_STALENESS: '2s',
      OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start(),
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_METRICS_EXPORTER: 'otlp',
    },
  });
  const { grpc: address, http } = await sidecar.listening;
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const verdict = async (access_token: string) => {
    const { code, reason } = await invoke(client, verify, { access_token });
    return code === grpc.status.OK ? 'good' : reason;
  };
  const probe = async (path: string) => (await fetch(`http://${http}${path}`)).status;
  // R01: a sidecar only verifies, so both say the same.
  const readiness = async () => {
    const status = await probe('/readyz/verification');
    expect(await probe('/readyz')).toBe(status);
    return status;
  };
  const health = async () =>
    (await invoke(client, 'grpc.health.v1.Health/Check', { service: '' })).response?.['status'];
  expect([await readiness(), await verdict(token), await health()]).toEqual([
    503,
    'TRUST_STALE',
    'NOT_SERVING',
  ]);
  // The audiences arrive with the keys. A route that names one is not wrong, it cannot be judged yet.
  const beforeUpdates = await checkedBy(
    { call: (method, request) => invoke(client, method, request) },
    { headers: { authorization: `Bearer ${token}` } },
    { audience: 'postern' },
  );
  expect([beforeUpdates.http, beforeUpdates.body.reason]).toEqual([503, 'TRUST_STALE']);

  const service = await startTestService({ POSTERN_GRPC_LISTEN: `127.0.0.1:${port}` }, store);
  await until(async () => (await verdict(token)) === 'good', 'the sidecar is ready');
  await until(async () => (await health()) === 'SERVING', 'health says so');
  expect(await readiness()).toBe(200);
  await service.call('postern.v1.AuthService/RevokeToken', { token: revoked });
  await until(async () => (await verdict(revoked)) === 'TOKEN_REVOKED', 'the revocation came');
  const check = await invoke(client, 'envoy.service.auth.v3.Authorization/Check', {
    attributes: { request: { http: { headers: { authorization: `Bearer ${token}` } } } },
  });
  expect(check.response).toMatchObject({ ok_response: expect.anything() });
  // The sidecar serves no other method.
  const login = await invoke(client, 'postern.v1.AuthService/Login', { email, password });
  expect(login.code).toBe(grpc.status.UNIMPLEMENTED);

  await service.stop();
  expect([await verdict(token), await verdict(revoked)]).toEqual(['good', 'TOKEN_REVOKED']);
  await until(async () => (await verdict(token)) === 'TRUST_STALE', 'the trust data is too old');
  expect(await readiness()).toBe(503);
  const again = await startTestService({ POSTERN_GRPC_LISTEN: `127.0.0.1:${port}` }, store);
  await until(async () => (await verdict(token)) === 'good', 'the sidecar resumed');
  expect(await verdict(revoked)).toBe('TOKEN_REVOKED');
  client.close();
  sidecar.kill('SIGTERM');
  expect((await sidecar.end).exitCode).toBe(0);
  await again.stop();
  // R35, R41: it sends the same as the service.
  collector.stop();
  const span = collector.spans.find(({ name }) => name === verify);
  expect(attributesOf(span)).toMatchObject({
    'server.address': `${folder}/sidecar.sock`,
    'network.transport': 'unix',
  });
  expect(collector.metrics.map(({ name }) => name)).toContain('postern_upstream_connected');
  expect(attributesOf(collector.resources[0])).toMatchObject({ 'service.name': 'postern-sidecar' });
});

test('A02 the sidecar calls WatchTrust with tokens for the audience in POSTERN_API_AUDIENCE', async () => {
  const service = await startTestService({
    POSTERN_AUDIENCE: 'shop,postern',
    POSTERN_API_AUDIENCE: 'postern',
  });
  const { id, secret } = await (await openAdminFixture(service.database)).createService('sidecar');
  const account = { ...listeners, POSTERN_CLIENT_ID: id, POSTERN_CLIENT_SECRET: secret };
  const start = (environment: Record<string, string>) =>
    startPostern(['sidecar', '--upstream', service.grpcAddress], { environment });
  const [unconfigured, configured] = [start(account), start({ ...account, POSTERN_API_AUDIENCE: 'postern' })];
  const { http } = await configured.listening;
  await until(async () => (await fetch(`http://${http}/readyz`)).status === 200, 'it has its first update');
  await until(() => unconfigured.output.stderr.includes('upstream-lost'), 'the log says why not');
  expect(unconfigured.output.stderr).toContain("'postern'");
  for (const sidecar of [unconfigured, configured]) {
    sidecar.kill('SIGTERM');
    expect((await sidecar.end).exitCode).toBe(0);
  }
  await service.stop();
}, 20_000);

test.each([
  [
    'without credentials',
    {},
    /^this sidecar has no credential; set POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET .*UNAUTHENTICATED/,
  ],
  [
    'with a secret that is wrong',
    {
      POSTERN_CLIENT_ID: '01a21e5b-6d50-7e4b-a7f4-4178c2a0cb49',
      POSTERN_CLIENT_SECRET: `psk_${'0'.repeat(49)}`,
    },
    /UNAUTHENTICATED: .*check POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET/,
  ],
])(
  'a sidecar that was started %s logs which settings to set',
  async (_name, credentials, expected) => {
    const service = await startTestService();
    const sidecar = startPostern(['sidecar', '--upstream', service.grpcAddress], {
      environment: { ...listeners, ...credentials },
    });
    const lost = () => sidecar.output.stderr.split('\n').find((line) => line.includes('"upstream-lost"'));
    await until(() => lost() !== undefined, 'the loss is logged');
    const { detail } = JSON.parse(lost() ?? '{}') as { detail: string };
    expect(detail).toMatch(expected);
    expect(detail).not.toMatch(/^\d|send (it|the token) in the request/);
    sidecar.kill('SIGTERM');
    expect((await sidecar.end).exitCode).toBe(0);
    await service.stop();
  },
  20_000,
);

const addressForms = 'HOST:PORT';
test.each([
  [['sidecar'], '--upstream'],
  [['sidecar', '--upstream', 'unix:'], addressForms],
  [['sidecar', '--upstream', 'dns:///'], addressForms],
  [['sidecar', '--upstream', 'not an address'], 'not an address'],
  [['sidecar', '--upstream', 'postern.example.com:443'], 'POSTERN_UPSTREAM_CA'],
])('%j is refused with advice', async (words, expected) => {
  const { exitCode, stderr } = await runPostern(words, { environment: listeners });
  expect(exitCode).toBe(2);
  expect(stderr).toContain(expected);
});

test('C04 a sidecar verifies over HTTP for its own hosts alone', async () => {
  const sidecar = startPostern(['sidecar', '--upstream', '127.0.0.1:1'], {
    environment: { ...listeners, POSTERN_HTTP_RPC: 'auth', POSTERN_HTTP_HOSTS: 'sidecar.internal' },
  });
  const { http } = await sidecar.listening;
  const answers = async (host: string) => {
    const url = `http://${http}/postern.v1.AuthService/VerifyToken`;
    const { status, reason } = await postAsPage(url, { accessToken: 'x' }, { host });
    return [status, reason];
  };
  expect(await answers('attacker.example')).toEqual([421, 'FIELD_INVALID']);
  expect(await answers('sidecar.internal')).toEqual([503, 'TRUST_STALE']);
  expect(await answers(http)).toEqual([503, 'TRUST_STALE']);
  sidecar.kill('SIGTERM');
  expect((await sidecar.end).exitCode).toBe(0);
});
