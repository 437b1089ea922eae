import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createVerifier, PosternError, type Verifier } from '../../src/client/postern-client.ts';
import { account, type Tokens } from '../support/account.ts';
import { until } from '../support/wait-for.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { addUser, invoke } from '../support/test-service.ts';

/** Heartbeats come every two seconds, so the watchers have at least two seconds left after the kill. */
const MAX_STALENESS_MS = 4_000;
const email = 'ann@example.com';
const password = 'correct horse battery';
const folder = mkdtempSync(`${tmpdir()}/postern-`);
let store: TestDatabase;
let centralService: ServiceProcess;
/** Another instance on the same database. The watchers are not connected to it. */
let other: ServiceProcess;
let credential: { clientId: string; clientSecret: string };
let verifier: Verifier;
const clients: grpc.Client[] = [];

/** A verifier or a sidecar: it verifies tokens with the trust data of the central service. */
interface Watcher {
  /** `OK`, or the reason of the refusal. */
  verdict(token: string): Promise<string>;
}

beforeAll(async () => {
  store = await createTestDatabase();
  [centralService, other] = await Promise.all([
    startServiceProcess(store.url),
    startServiceProcess(store.url),
  ]);
  await Promise.all([untilReady(centralService), untilReady(other), addUser(store, email, password)]);
  const { id, secret } = await (await openAdminFixture(store)).createService('watcher');
  credential = { clientId: id, clientSecret: secret };
}, 30_000);
afterAll(async () => {
  verifier.close();
  for (const client of clients) client.close();
  await Promise.all([centralService.stop(), other.stop()]);
  await endEveryPostern();
  rmSync(folder, { recursive: true });
  await store.drop();
}, 30_000);

async function startSidecar(name: string): Promise<Watcher & { readiness(): Promise<number> }> {
  const { grpc: address, http } = await startPostern(['sidecar', '--upstream', centralService.grpcAddress], {
    environment: {
      POSTERN_CLIENT_ID: credential.clientId,
      POSTERN_CLIENT_SECRET: credential.clientSecret,
      POSTERN_GRPC_LISTEN: `unix:${folder}/${name}.sock`,
      POSTERN_HTTP_LISTEN: '127.0.0.1:0',
      POSTERN_MAX_STALENESS: `${MAX_STALENESS_MS / 1000}s`,
    },
  }).listening;
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  clients.push(client);
  return {
    verdict: (token) =>
      account.verdict({ call: (method, request) => invoke(client, method, request) }, token),
    readiness: async () => (await fetch(`http://${http}/readyz`)).status,
  };
}

function startVerifier(): Watcher {
  verifier = createVerifier({
    trust: { upstream: { address: centralService.grpcAddress }, credential },
    maxStalenessMs: MAX_STALENESS_MS,
  });
  return {
    async verdict(token) {
      try {
        await verifier.verify(token);
        return 'OK';
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
        return error.reason ?? grpc.status[error.code];
      }
    },
  };
}

/** Kills the process with SIGKILL, so that it finishes nothing. */
async function killCentralService(): Promise<void> {
  centralService.running.kill('SIGKILL');
  expect((await centralService.running.end).exitCode).toBeNull();
}

async function restartCentralService(): Promise<void> {
  const { grpcAddress } = centralService;
  await centralService.stop();
  centralService = await startServiceProcess(store.url, { POSTERN_GRPC_LISTEN: grpcAddress });
}

const login = (): Promise<Tokens> => account.login(other, email, password);

test('S13 when the central service is killed, watchers keep verifying and keep its last revocations, refuse in time, and resume without missing one', async () => {
  const watchers = [await startSidecar('first'), startVerifier()];
  const verdicts = ({ access_token }: Tokens) =>
    Promise.all(watchers.map((watcher) => watcher.verdict(access_token)));
  const untilAll = async (tokens: Tokens, verdict: string, limitMs?: number) => {
    const reached = async () => (await verdicts(tokens)).every((one) => one === verdict);
    await until(reached, `everyone says ${verdict}`, limitMs);
  };
  const kept = await login();
  await untilAll(kept, 'OK');

  // Twice, since what a killed process still sends depends on timing.
  const revokedLast: Tokens[] = [];
  for (let kills = 1; ; kills += 1) {
    const last = await login();
    const fresh = await login();
    await untilAll(last, 'OK');
    await account.revoke(centralService, fresh.refresh_token);
    await untilAll(fresh, 'TOKEN_REVOKED');
    expect(await account.revoke(centralService, last.refresh_token)).toBe('OK');
    await killCentralService();
    await untilAll(last, 'TOKEN_REVOKED', 1_000);
    expect(await verdicts(kept)).toEqual(['OK', 'OK']);
    revokedLast.push(last);
    if (kills === 2) break;
    await restartCentralService();
  }

  const meanwhile = await login();
  expect(await verdicts(meanwhile)).toEqual(['OK', 'OK']);
  expect(await account.revoke(other, meanwhile.refresh_token)).toBe('OK');
  await untilAll(kept, 'TRUST_STALE');
  expect(verifier.state()).toMatchObject({ status: 'stale', connected: false });
  const [sidecar] = watchers as [Awaited<ReturnType<typeof startSidecar>>, Watcher];
  expect(await sidecar.readiness()).toBe(503);
  const late = await startSidecar('late');
  watchers.push(late);
  expect([await late.verdict(kept.access_token), await late.readiness()]).toEqual(['TRUST_STALE', 503]);

  await restartCentralService();
  const verdictsSeen = new Set<string>();
  const allRevoked = async () => {
    const now = await verdicts(meanwhile);
    for (const verdict of now) verdictsSeen.add(verdict);
    return now.every((verdict) => verdict === 'TOKEN_REVOKED');
  };
  await until(allRevoked, 'what was revoked meanwhile is refused');
  // It was accepted at no moment.
  expect([...verdictsSeen].filter((verdict) => verdict === 'OK')).toEqual([]);
  await untilAll(kept, 'OK');
  for (const last of revokedLast) await untilAll(last, 'TOKEN_REVOKED', 1);
  await until(async () => (await late.readiness()) === 200, 'the late sidecar is ready');
}, 60_000);
