import { createHash } from 'node:crypto';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account } from '../../support/account.ts';
import { type AdminFixture, openAdminFixture } from '../../support/admin-fixture.ts';
import { TcpProxy } from '../../support/tcp-proxy.mjs';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { startTestRelay, type TestRelay } from '../../support/test-relay.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';
import { TrustWatch } from '../../support/trust-watch.ts';
import { until } from '../../support/wait-for.ts';
import { watcherMetadata } from '../../support/watcher-metadata.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
let store: TestDatabase;
let service: TestService;
let admin: AdminFixture;
let credential: Record<string, string>;
let metadata: grpc.Metadata;
/** Next to the service, and behind the first. */
let first: TestRelay;
let second: TestRelay;
const started: TestRelay[] = [];

const bearer = (token: string) => {
  const headers = new grpc.Metadata();
  headers.set('authorization', `Bearer ${token}`);
  return headers;
};
async function relayBehind(trust: string, environment: Record<string, string> = {}): Promise<TestRelay> {
  const relay = await startTestRelay(
    { trust, tokens: service.grpcAddress },
    { ...credential, ...environment },
  );
  started.push(relay);
  return relay;
}
const isReady = (relay: TestRelay) => async () => (await relay.probe('/readyz/verification')) === 200;
const watch = (address: string, cursor = '', headers = metadata) =>
  new TrustWatch(address, cursor, { metadata: headers });
const hasSnapshot = ({ updates }: TrustWatch) => updates.some(({ revocations }) => revocations?.snapshot);

/** How the stream of a caller ended who must be refused. One who is let in is left at the first update, without a reason. */
async function refusalOf(address: string, headers: grpc.Metadata) {
  const stream = watch(address, '', headers);
  await stream.until(() => stream.updates.length > 0).catch(() => undefined);
  await stream.close();
  return stream.end;
}

beforeAll(async () => {
  store = await createTestDatabase();
  service = await startTestService({}, store);
  await service.addUser(email, password);
  admin = await openAdminFixture(store);
  const { id, secret } = await admin.createService('relays');
  credential = { POSTERN_CLIENT_ID: id, POSTERN_CLIENT_SECRET: secret };
  metadata = await watcherMetadata(service, store);
  first = await relayBehind(service.grpcAddress);
  second = await relayBehind(first.grpcAddress);
  await until(isReady(second), 'the second relay has its first list');
});
afterAll(async () => {
  for (const relay of started.reverse()) await relay.stop();
  await service.stop();
  await store.drop();
});

test('R12 a relay authenticates its watchers as the service does, and ends the stream of one whose token is revoked', async () => {
  const user = await service.tokenOf(email, password);
  const { id, secret } = await admin.createService('short');
  const { response } = await service.call('postern.v1.AuthService/IssueServiceToken', {
    client_id: id,
    client_secret: secret,
  });
  const short = bearer(String(response?.['access_token']));
  const refusal = async (headers: grpc.Metadata) => (await refusalOf(second.grpcAddress, headers)).reason;
  expect(await refusal(new grpc.Metadata())).toBe('CREDENTIALS_MISSING');
  expect(await refusal(bearer(user))).toBe('SERVICE_REQUIRED');
  expect(await refusal(bearer('x.y.z'))).toBe('TOKEN_MALFORMED');
  const open = watch(second.grpcAddress, '', short);
  await open.complete();
  await admin.deleteService(id);
  expect((await open.end).reason).toBe('TOKEN_REVOKED');
  expect(await refusal(short)).toBe('TOKEN_REVOKED');
  // There is no audit trail: the log has them.
  const lines = second.logLines.filter((line) => line.includes('WatchTrust'));
  for (const reason of ['CREDENTIALS_MISSING', 'SERVICE_REQUIRED', 'TOKEN_REVOKED'])
    expect(lines.some((line) => line.includes(reason))).toBe(true);
  const login = await second.call('postern.v1.AuthService/Login', { email, password });
  expect(login.code).toBe(grpc.status.UNIMPLEMENTED);
});

test('R12 a relay refuses a service token for another audience', async () => {
  const shop = await startTestService({ POSTERN_AUDIENCE: 'postern,shop' }, store);
  const { id, secret } = await admin.createService('shop');
  const relay = await startTestRelay({ trust: shop.grpcAddress, tokens: shop.grpcAddress }, credential);
  await until(isReady(relay), 'the relay has its first list');
  const { response, message } = await shop.call('postern.v1.AuthService/IssueServiceToken', {
    client_id: id,
    client_secret: secret,
    audience: 'shop',
  });
  if (!response) throw new Error(message);
  const refused = await refusalOf(relay.grpcAddress, bearer(String(response['access_token'])));
  expect([refused.reason, refused.message]).toEqual([
    'TOKEN_CLAIMS_INVALID',
    expect.stringContaining("'postern'"),
  ]);
  await relay.stop();
  await shop.stop();
});

test('R14 a relay passes ResolveApiKey on with its own credential', async () => {
  const user = bearer(await service.tokenOf(email, password));
  const { response, message } = await service.call(
    'postern.v1.AuthService/CreateApiKey',
    { name: 'laptop' },
    { authorization: String(user.get('authorization')[0]) },
  );
  if (!response) throw new Error(message);
  const resolve = (relay: TestRelay, key: string, headers: grpc.Metadata) => {
    const key_sha256 = createHash('sha256').update(key).digest();
    return relay.call('postern.v1.TrustService/ResolveApiKey', { key_sha256 }, headers);
  };
  const key = String(response['secret']);
  const grant = (await resolve(second, key, metadata)).response;
  expect(grant).toMatchObject({ subject_type: 'USER', audience: 'postern', roles: [] });
  expect((await resolve(second, 'pak_unknown', metadata)).reason).toBe('RESOURCE_NOT_FOUND');
  expect((await resolve(second, key, user)).reason).toBe('SERVICE_REQUIRED');
  expect((await resolve(second, key, new grpc.Metadata())).reason).toBe('CREDENTIALS_MISSING');
});

test('R13 a fifth relay in a row is refused, and says so', async () => {
  const third = await relayBehind(second.grpcAddress);
  await until(isReady(third), 'the third relay has its first list');
  const fourth = await relayBehind(third.grpcAddress);
  await until(isReady(fourth), 'the fourth relay has its first list');
  const fifth = await relayBehind(fourth.grpcAddress);
  const lost = () => fifth.logLines.find((line) => line.includes('upstream-lost'));
  await until(() => lost() !== undefined, 'the fifth relay is refused');
  expect(lost()).toContain('fifth relay in a row');
  expect(await fifth.probe('/readyz/verification')).toBe(503);
  // A verifier is no relay.
  const verifier = watch(fourth.grpcAddress);
  await verifier.complete();
  await verifier.close();
});

test('R13 relays in a ring find it and refuse when they know too little, until one is connected to the service again', async () => {
  let target = service.grpcAddress;
  const address = () => ({ host: '127.0.0.1', port: Number(target.split(':')[1]) });
  const proxy = new TcpProxy({
    get host() {
      return address().host;
    },
    get port() {
      return address().port;
    },
  });
  const upstream = `127.0.0.1:${await proxy.open()}`;
  const upper = await relayBehind(upstream, { POSTERN_MAX_STALENESS: '3s' });
  await until(isReady(upper), 'the upper relay has its first list');
  const lower = await relayBehind(upper.grpcAddress, { POSTERN_MAX_STALENESS: '3s' });
  await until(isReady(lower), 'the lower relay has its first list');
  target = lower.grpcAddress;
  proxy.cut();
  const lost = () => upper.logLines.find((line) => line.includes('relay through which'));
  await until(() => lost() !== undefined, 'the upper relay is refused');
  expect(lost()).toContain('INVALID_ARGUMENT');
  const isStale = (relay: TestRelay) => async () => (await relay.probe('/readyz/verification')) === 503;
  await until(isStale(upper), 'the upper relay refuses');
  await until(isStale(lower), 'the lower relay refuses');
  target = service.grpcAddress;
  proxy.cut();
  await until(isReady(lower), 'both are fed again');
  await proxy.close();
});

test.each(['the service', 'a relay'])('R13 %s refuses a relay id of another form', async (what) => {
  const callee = what === 'a relay' ? first.grpcAddress : service.grpcAddress;
  const malformed = new TrustWatch(callee, '', { metadata, relayId: Buffer.from('short') });
  expect((await malformed.end).reason).toBe('FIELD_INVALID');
});

// The last test: the relays have been running for the four seconds after which one can resume from them.
test('R11 a watcher behind two relays gets keys, rules and revocations as at the service, and resumes at any of them', async () => {
  const [direct, behind] = [watch(service.grpcAddress), watch(second.grpcAddress)];
  await Promise.all([direct.complete(), behind.complete()]);
  expect(behind.keys).toEqual(direct.keys);
  const tokens = await account.login(service, email, password);
  const revoked = `sid ${tokens.session_id}`;
  expect(await account.revoke(service, tokens.refresh_token)).toBe('OK');
  await Promise.all([direct, behind].map((one) => one.until(() => one.revoked.has(revoked))));
  // The relay has passed the database read on, too, when its cursor moves.
  const { cursor } = behind;
  await behind.until(() => behind.cursor !== cursor);
  const isResumable = async () => {
    await account.login(service, email, password);
    const attempt = watch(second.grpcAddress, behind.cursor);
    await attempt.complete();
    await attempt.close();
    return !hasSnapshot(attempt);
  };
  await until(isResumable, 'the first list of the relays has its place in the order');
  await Promise.all([direct.close(), behind.close()]);

  const later = await account.login(service, email, password);
  expect(await account.revoke(service, later.refresh_token)).toBe('OK');
  for (const [address, from] of [
    [service.grpcAddress, behind],
    [first.grpcAddress, behind],
    [second.grpcAddress, behind],
  ] as const) {
    const resumed = watch(address, from.cursor);
    await resumed.until(() => resumed.revoked.has(`sid ${later.session_id}`));
    await resumed.complete();
    expect(hasSnapshot(resumed)).toBe(false);
    await resumed.close();
  }
  expect(await second.metrics()).toMatch(/^postern_trust_watchers \d/m);
});
