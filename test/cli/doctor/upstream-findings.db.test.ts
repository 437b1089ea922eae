import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:net';

import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { upstreamFindings } from '../../../src/cli/doctor/upstream-findings.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import type { Heartbeat, TrustUpdate } from '../../../src/generated/postern/v1/trust.ts';
import { TrustServiceClient, TrustServiceService } from '../../../src/generated/postern/v1/trust.ts';
import { openAdminFixture } from '../../support/admin-fixture.ts';
import { type BareListener, startBareListener } from '../../support/bare-listener.ts';
import { runHere } from '../../support/run-here.ts';
import { startTestRelay } from '../../support/test-relay.ts';
import { until } from '../../support/wait-for.ts';
import { watcherMetadata } from '../../support/watcher-metadata.ts';
import { anyPorts } from '../../support/service-environment.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';

let service: TestService;
let account: Record<string, string>;
const cleanups: (() => unknown)[] = [];
beforeAll(async () => {
  service = await startTestService();
  const { id, secret } = await (await openAdminFixture(service.database)).createService('sidecar');
  account = { POSTERN_CLIENT_ID: id, POSTERN_CLIENT_SECRET: secret };
});
afterAll(async () => {
  for (const cleanup of cleanups) await cleanup();
  await service.stop();
});

const settingsOf = (environment: Record<string, string>) =>
  loadSettings({ ...anyPorts, ...environment }, { for: 'sidecar' });
const findings = (address: string, environment = account, limitMs = 10_000) =>
  upstreamFindings(settingsOf(environment), { trust: address, tokens: address }, limitMs);

/** An upstream that first sends this heartbeat. */
const listenAs = (heartbeat: Heartbeat) =>
  listen(async function* (signal) {
    yield { cursor: '', update: { $case: 'heartbeat', value: heartbeat } };
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  });

async function listen(stream: (signal: AbortSignal) => AsyncGenerator<TrustUpdate>): Promise<BareListener> {
  const listener = await startBareListener({
    services: (add) =>
      add(TrustServiceService, {
        resolveApiKey: () => Promise.reject(new Error('no API keys here')),
        watchTrust: (_request, call) => stream(call.signal),
      }),
    guard: {
      authenticate: () => Promise.resolve({ type: 'service', id: 'one', roles: [], claims: null } as never),
      writeAudit: () => Promise.resolve(),
      refusals: { take: () => null, missed: () => undefined },
      onAuditWriteFailed: () => undefined,
      onForwarderRefused: () => undefined,
      onRefusedAfterEnd: () => undefined,
    },
  });
  cleanups.push(() => listener.stop());
  return listener;
}

test('R55 doctor --upstream opens the stream of a sidecar and of a relay', async () => {
  const sidecar = { environment: { ...anyPorts, ...account } };
  const words = ['doctor', '--upstream', service.grpcAddress];
  const { exitCode, stdout } = await runHere([...words, '--json'], sidecar);
  const all = JSON.parse(stdout) as { about: string; verdict: string; says: string }[];
  expect(all.filter(({ verdict }) => verdict === 'fault')).toEqual([]);
  expect(exitCode).toBe(0);
  expect(all).toContainEqual({
    about: 'upstream',
    verdict: 'ok',
    says: expect.stringContaining(`${service.grpcAddress} sends keys and revocations`),
  });
  // A sidecar has none of these.
  expect(all.filter(({ about }) => ['database', 'schema', 'keys', 'clock'].includes(about))).toEqual([]);
  const relay = await runHere(words, { environment: { ...sidecar.environment, POSTERN_RELAY: 'on' } });
  expect(relay.stdout).toContain('a relay (POSTERN_RELAY=on)');
  expect(relay.exitCode).toBe(0);
});

test('R55 behind a relay, which issues no tokens, it needs the option of the sidecar for the service', async () => {
  const upstreams = { trust: service.grpcAddress, tokens: service.grpcAddress };
  const relay = await startTestRelay(upstreams, account);
  cleanups.push(() => relay.stop());
  await until(async () => (await relay.probe('/readyz')) === 200, 'the relay has its first list');
  const words = ['doctor', '--upstream', relay.grpcAddress];
  const environment = { ...anyPorts, ...account };
  const without = await runHere(words, { environment });
  expect(without.exitCode).toBe(5);
  expect(without.stdout).toMatch(
    /FAIL {2}upstream .*UNIMPLEMENTED.*\n .*set --token-upstream to the service/,
  );
  const behind = await runHere([...words, '--token-upstream', service.grpcAddress], { environment });
  expect(behind.exitCode).toBe(0);
  const [finding] = await upstreamFindings(
    settingsOf(account),
    { trust: relay.grpcAddress, tokens: 'auth.example:50051' },
    10_000,
  );
  expect(finding).toMatchObject({ exitCode: 2, message: expect.stringContaining('--token-upstream') });
  const alone = await runHere(['doctor', '--token-upstream', service.grpcAddress], { environment });
  expect(alone).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('only with --upstream') });
});

test('R55 a port in use is said of the start of either command', async () => {
  const environment = { ...anyPorts, ...account, POSTERN_HTTP_LISTEN: new URL(service.httpUrl).host };
  const { stdout } = await runHere(['doctor', '--upstream', service.grpcAddress], { environment });
  expect(stdout).toMatch(/is in use.*\n .*otherwise the start ends with exit code 3/);
  expect(stdout).not.toContain('serve');
});

test('R55 it says which setting is wrong when the upstream refuses the credential, and shows no secret', async () => {
  const wrong = {
    ...account,
    POSTERN_CLIENT_SECRET: String(account['POSTERN_CLIENT_SECRET']).replace(/.{7}$/, ''),
  };
  const { exitCode, stdout } = await runHere(['doctor', '--upstream', service.grpcAddress], {
    environment: { ...anyPorts, ...wrong },
  });
  expect(exitCode).toBe(5);
  expect(stdout).toMatch(/FAIL {2}upstream .*\n .*POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET/);
  expect(stdout).not.toContain(wrong.POSTERN_CLIENT_SECRET);
  expect(await findings(service.grpcAddress, {})).toMatchObject([
    { verdict: 'fault', exitCode: 5, message: 'this sidecar has no credential' },
  ]);
});

test('R55 it tells an upstream that is away from one that sends nothing', async () => {
  // It reads nothing, so it would not notice either that the other side has closed the connection.
  const silent: Server = createServer((socket) => cleanups.push(() => socket.destroy()));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as { port: number };
  cleanups.push(() => silent.close());
  expect(await findings(`127.0.0.1:${port}`, {}, 300)).toMatchObject([
    { exitCode: 4, message: expect.stringContaining('sent no keys and revocations within 0.3 s') },
  ]);
  expect(await findings('127.0.0.1:1', {})).toMatchObject([
    { exitCode: 4, message: expect.stringContaining('UNAVAILABLE') },
  ]);
  expect(await findings('auth.example:50051', {})).toMatchObject([
    { exitCode: 2, message: expect.stringContaining('in plaintext') },
  ]);
});

test('R55 it finds keys and revocations that are too old', async () => {
  const client = new TrustServiceClient(service.grpcAddress, credentials.createInsecure());
  cleanups.push(() => client.close());
  const metadata = await watcherMetadata(service, service.database);
  const { address } = await listen(async function* () {
    const stream = client.watchTrust({ cursor: '', relayId: Buffer.alloc(0) }, metadata);
    for await (const received of stream as AsyncIterable<TrustUpdate>) {
      if (received.update?.$case === 'heartbeat') received.update.value.newsAgeMs = 3_600_000;
      yield received;
    }
  });
  expect(await findings(address, {})).toMatchObject([
    { verdict: 'fault', exitCode: 4, message: expect.stringContaining('more than POSTERN_MAX_STALENESS') },
  ]);
});

test('R55 it finds that a relay would be the fifth in a row', async () => {
  const ids = (count: number) => Array.from({ length: count }, () => randomBytes(16));
  const { address } = await listenAs({ newsAgeMs: 0, relayPath: ids(4) });
  expect(await findings(address, { POSTERN_RELAY: 'on' })).toMatchObject([
    { verdict: 'fault', message: expect.stringContaining('a fifth relay in a row') },
  ]);
});
