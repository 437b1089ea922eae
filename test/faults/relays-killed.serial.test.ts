import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account, type Tokens } from '../support/account.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { endEveryPostern, type RunningPostern, startPostern } from '../support/run-postern.ts';
import { anyPorts } from '../support/service-environment.ts';
import { type ServiceProcess, startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { addUser } from '../support/test-service.ts';
import { TrustWatch } from '../support/trust-watch.ts';
import { until } from '../support/wait-for.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const WATCHERS = 8;
const LOGOUTS = 60;
let store: TestDatabase;
let origins: ServiceProcess[];
let credential: Record<string, string>;
let metadata: grpc.Metadata;

interface Relay {
  readonly running: RunningPostern;
  readonly address: string;
}

async function startRelay(upstream: string, tokens: string, listen?: string): Promise<Relay> {
  const running = startPostern(['sidecar', '--upstream', upstream, '--token-upstream', tokens], {
    environment: {
      ...anyPorts,
      ...credential,
      POSTERN_RELAY: 'on',
      ...(listen !== undefined && { POSTERN_GRPC_LISTEN: listen }),
    },
  });
  const { grpc: address, http } = await running.listening;
  const isReady = async () => (await fetch(`http://${http}/readyz/verification`)).status === 200;
  await until(isReady, 'the relay has its first list', 15_000);
  return { running, address };
}

async function kill({ running }: Pick<Relay, 'running'>): Promise<void> {
  running.kill('SIGKILL');
  await running.end;
}

beforeAll(async () => {
  store = await createTestDatabase();
  origins = await Promise.all([startServiceProcess(store.url), startServiceProcess(store.url)]);
  await Promise.all([...origins.map(untilReady), addUser(store, email, password)]);
  const { id, secret } = await (await openAdminFixture(store)).createService('relays');
  credential = { POSTERN_CLIENT_ID: id, POSTERN_CLIENT_SECRET: secret };
  const { response } = await (origins[0] as ServiceProcess).call('postern.v1.AuthService/IssueServiceToken', {
    client_id: id,
    client_secret: secret,
  });
  metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${String(response?.['access_token'])}`);
}, 60_000);
afterAll(async () => {
  await endEveryPostern();
  await Promise.all(origins.map((origin) => origin.stop()));
  await store.drop();
}, 30_000);

/** A verifier that resumes at the next address whenever its stream ends. */
async function hop(
  addresses: readonly string[],
  start: number,
  state: { revoked: Set<string>; stopped: () => boolean },
) {
  let cursor = '';
  let hops = 0;
  for (let at = start; !state.stopped(); at += 1, hops += 1) {
    const watch = new TrustWatch(addresses[at % addresses.length] ?? '', cursor, { metadata });
    const learn = () => watch.revoked.forEach((one) => state.revoked.add(one));
    let hasEnded = false;
    void watch.end.then(() => (hasEnded = true));
    await until(() => {
      learn();
      return hasEnded || state.stopped();
    }, 'the stream has ended');
    await watch.close();
    learn();
    cursor = watch.cursor;
  }
  return hops;
}

test('R15 when relays and an instance are killed under load, watchers that hop learn every revocation that was acknowledged', async () => {
  const [kept, killed] = origins as [ServiceProcess, ServiceProcess];
  const upper = await startRelay(`ipv4:${killed.grpcAddress},${kept.grpcAddress}`, kept.grpcAddress);
  const lower = await startRelay(upper.address, kept.grpcAddress);
  const beside = await startRelay(kept.grpcAddress, kept.grpcAddress);
  const sessions: Tokens[] = [];
  while (sessions.length < LOGOUTS) sessions.push(await account.login(kept, email, password));
  const addresses = [lower.address, upper.address, beside.address];
  let isStopped = false;
  const states = Array.from({ length: WATCHERS }, () => ({
    revoked: new Set<string>(),
    stopped: () => isStopped,
  }));
  const watching = states.map((state, index) => hop(addresses, index, state));

  const acknowledged: string[] = [];
  for (const [index, { refresh_token, session_id }] of sessions.entries()) {
    const callee = index < LOGOUTS / 3 && index % 2 === 0 ? killed : kept;
    if ((await account.revoke(callee, refresh_token)) === 'OK') acknowledged.push(`sid ${session_id}`);
    if (index === Math.floor(LOGOUTS / 3)) await kill(killed);
    if (index === Math.floor(LOGOUTS / 2)) await kill(beside);
    if (index === Math.floor((LOGOUTS * 2) / 3)) await kill(lower);
  }
  // Only the upper relay is left of those that the watchers know.
  const last = await account.login(kept, email, password);
  expect(await account.revoke(kept, last.refresh_token)).toBe('OK');
  acknowledged.push(`sid ${last.session_id}`);
  // Whoever resumed past a revocation never gets it: the later ones come all the same.
  const isLearned = () => states.every(({ revoked }) => acknowledged.every((one) => revoked.has(one)));
  await until(isLearned, 'every watcher has learned everything', 30_000);
  isStopped = true;
  const hops = await Promise.all(watching);
  expect(acknowledged.length).toBeGreaterThanOrEqual(LOGOUTS - 1);
  // Otherwise nobody was at a relay that was killed.
  expect(Math.max(...hops)).toBeGreaterThan(1);
}, 90_000);
