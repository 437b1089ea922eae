import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';

import { Metadata, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';

import { ownOrigin } from '../../../src/domain/operation-call.ts';
import { masterKeyOf } from '../../../src/crypto/sealed-envelope.ts';
import { rotateSigningKey } from '../../../src/features/signing-keys/rotate-signing-key.ts';
import { insertRevocation } from '../../../src/features/revocations/revocation-queries.ts';
import { openAdminFixture } from '../../support/admin-fixture.ts';
import { bearing, serviceToken } from '../../support/callers.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../../support/test-service.ts';
import { TrustWatch } from '../../support/trust-watch.ts';
import { watcherMetadata } from '../../support/watcher-metadata.ts';
import { keyPolicy } from '../../support/key-policy.ts';

let store: TestDatabase;
let service: TestService;
let other: TestService;
let metadata: Metadata;
const watches: TrustWatch[] = [];
const inAnHour = Math.floor(Date.now() / 1000) + 3_600;

beforeAll(async () => {
  store = await createTestDatabase();
  service = await startTestService({}, store);
  other = await startTestService({}, store);
  metadata = await watcherMetadata(service, store);
});
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
});
afterAll(async () => {
  await service.stop();
  await other.stop();
  await store.drop();
});

function watchOn(at: TestService, cursor = ''): TrustWatch {
  const watch = new TrustWatch(at.grpcAddress, cursor, { metadata });
  watches.push(watch);
  return watch;
}

async function revoke(kind: 'sid' | 'jti' | 'kid', id: string): Promise<string> {
  const revocation = { kind, id, expiresAtSeconds: inAnHour };
  await store.database.unlimited((db) => insertRevocation(db, revocation));
  return `${kind} ${id}`;
}

const revokeMany = (count: number) =>
  store.query(
    `INSERT INTO revocations (kind, id, expires_at)
     SELECT 'sid', gen_random_uuid()::text, now() + interval '1 hour' FROM generate_series(1, $1::int) RETURNING id`,
    [count],
  );

test('keys come first, then all revocations, then each change, then heartbeats', async () => {
  const before = [
    await revoke('sid', randomUUID()),
    await revoke('sid', 'not-a-uuid'),
    await revoke('jti', 'token'),
    await revoke('kid', 'gone'),
  ];
  const watch = watchOn(service);
  await watch.until(() => before.every((name) => watch.revoked.has(name)));
  const [first, second] = watch.updates;
  const jwks = await fetch(`${service.httpUrl}/.well-known/jwks.json`);
  expect(first?.keys).toEqual({
    jwks: await jwks.text(),
    issuer: 'http://127.0.0.1:8080',
    audiences: ['postern'],
    max_lifetime: 600,
    clock_skew: 5,
  });
  expect(first?.cursor).toBe('');
  expect(second?.revocations).toMatchObject({ snapshot: true });
  await watch.complete();

  const later = await revoke('sid', randomUUID());
  await watch.until(() => watch.revoked.has(later));
  const last = watch.updates.at(-1);
  expect(last?.revocations).toMatchObject({ snapshot: false, complete: true });
  expect(last?.cursor).toMatch(/^1\.\d+$/);
  await watch.until(() => watch.heartbeats.length > 1);
  expect(watch.heartbeats[0]?.news_age_ms).toEqual(expect.any(Number));
});

test('no update is larger than 64 KiB, and only the last of a set has a cursor', async () => {
  const ids = (await revokeMany(12_000)).map(({ id }) => `sid ${String(id)}`);
  await store.query(
    `INSERT INTO revocations (kind, id, expires_at)
     SELECT 'jti', repeat('t', 6000) || n, now() + interval '1 hour' FROM generate_series(1, 40) AS n`,
  );
  const live = watchOn(service);
  await live.until(() => ids.every((id) => live.revoked.has(id)));
  const fresh = watchOn(service);
  await fresh.complete();
  for (const watch of [live, fresh]) {
    expect(Math.max(...watch.sizes)).toBeLessThanOrEqual(65_536);
    expect(watch.updates.length).toBeGreaterThan(5);
  }
  const chunks = fresh.updates.flatMap(({ cursor, revocations }) =>
    revocations ? [{ cursor, revocations }] : [],
  );
  for (const { cursor, revocations } of chunks) expect(cursor !== '').toBe(revocations.complete);
  expect([...ids.filter((id) => !fresh.revoked.has(id))]).toEqual([]);
});

test('S13 resuming from a cursor sends exactly the missed changes, on any instance', async () => {
  const known = await revoke('sid', randomUUID());
  const watch = watchOn(service);
  await watch.until(() => watch.revoked.has(known));
  await watch.until(() => watch.heartbeats.length > 0);
  await watch.close();
  const missed = await revoke('sid', randomUUID());
  for (const instance of [service, other]) {
    const again = watchOn(instance, watch.cursor);
    await again.until(() => again.revoked.has(missed));
    const reported = again.updates.flatMap(({ revocations }) => revocations ?? []);
    expect(reported.every(({ snapshot }) => !snapshot)).toBe(true);
    expect(again.revoked.size).toBeLessThan(10);
    expect(again.updates[0]?.keys).toBeDefined();
  }
});

test.each([
  ['below everything kept', '1.1'],
  ['ahead of everything', `1.${2n ** 128n - 1n}`],
  ['of another server’s numbering', '1.18446744073709551615'],
])('a cursor %s gets everything', async (_name, cursor) => {
  const known = await revoke('sid', randomUUID());
  const primer = watchOn(service);
  await primer.until(() => primer.revoked.has(known));
  const watch = watchOn(service, cursor);
  await watch.complete();
  expect(watch.updates.find(({ revocations }) => revocations)?.revocations?.snapshot).toBe(true);
  expect(watch.revoked.has(known)).toBe(true);
});

test.each(['x', '1.', '1.-1', '1.01', '2.5', `1.${2n ** 128n}`, `1.${'9'.repeat(39)}`, '1.5\n', ' 1.5'])(
  'the cursor %j is refused',
  async (cursor) => {
    const { code, reason, message, requestId } = await watchOn(service, cursor).end;
    expect([code, reason]).toEqual([status.INVALID_ARGUMENT, 'FIELD_INVALID']);
    expect(message).toMatch(/^cursor: /);
    expect(requestId).toMatch(/^[\w-]{36}$/);
  },
);

test('K03 a rotation reaches watchers as the complete new set before the new key signs', async () => {
  const watch = watchOn(service);
  await watch.complete();
  const kids = () =>
    watch.keys.map(({ jwks }) =>
      (JSON.parse(jwks) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid),
    );
  expect(kids()).toEqual([[expect.any(String)]]);
  const { kid } = await rotateSigningKey(
    {
      database: store.database,
      policy: keyPolicy,
      masterKeys: [masterKeyOf(Buffer.from(masterKey, 'base64'))],
    },
    { now: false, actor: { type: 'operator', id: null }, origin: ownOrigin },
  );
  await watch.until(() => watch.keys.length > 1);
  expect(kids()[1]).toEqual(expect.arrayContaining([kid, ...(kids()[0] ?? [])]));
});

test('A02 a watcher needs a service account, except through a unix socket', async () => {
  const resolve = async (at: TestService) =>
    (await at.call('postern.v1.TrustService/ResolveApiKey', { key_sha256: Buffer.alloc(32) })).reason;
  const nobody = new TrustWatch(service.grpcAddress);
  expect((await nobody.end).reason).toBe('CREDENTIALS_MISSING');
  await service.addUser('reader@example.com', 'correct horse battery');
  const ofUser = new Metadata();
  ofUser.set(
    'authorization',
    `Bearer ${await service.tokenOf('reader@example.com', 'correct horse battery')}`,
  );
  const user = new TrustWatch(service.grpcAddress, '', { metadata: ofUser });
  const { code, reason } = await user.end;
  expect([code, reason]).toEqual([status.PERMISSION_DENIED, 'SERVICE_REQUIRED']);
  const path = `${mkdtempSync(`${tmpdir()}/postern-`)}/grpc.sock`;
  const local = await startTestService({ POSTERN_GRPC_LISTEN: `unix:${path}` }, store);
  const beside = new TrustWatch(`unix:${path}`);
  await beside.complete();
  expect([await resolve(service), await resolve(local)]).toEqual([
    'CREDENTIALS_MISSING',
    'RESOURCE_NOT_FOUND',
  ]);
  await Promise.all([nobody, user, beside].map((watch) => watch.close()));
  await local.stop();
});

test('S12 the stream of a watcher whose service account is deleted is closed', async () => {
  const fixture = await openAdminFixture(store);
  const { id, secret } = await fixture.createService('short-lived');
  const { response } = await service.call('postern.v1.AuthService/IssueServiceToken', {
    client_id: id,
    client_secret: secret,
  });
  const credentials = new Metadata();
  credentials.set('authorization', `Bearer ${String(response?.['access_token'])}`);
  const watch = new TrustWatch(service.grpcAddress, '', { metadata: credentials });
  await watch.complete();
  await fixture.deleteService(id);
  expect((await watch.end).reason).toBe('TOKEN_REVOKED');
  await watch.close();
});

test('G06 the stream of an exchanged token ends with that token, or with what it came from', async () => {
  const fixture = await openAdminFixture(store);
  const account = await fixture.createService('narrowing');
  const own = await serviceToken(service, account);
  const narrow = async () => {
    const request = { subject_token: own };
    const { response } = await service.call('postern.v1.AuthService/ExchangeToken', request);
    return String(response?.['access_token']);
  };
  const [first, second] = [await narrow(), await narrow()];
  const [revoked, kept] = [first, second].map(
    (token) => new TrustWatch(other.grpcAddress, '', { metadata: bearing(token) }),
  ) as [TrustWatch, TrustWatch];
  watches.push(revoked, kept);
  await Promise.all([revoked.complete(), kept.complete()]);
  await service.call('postern.v1.AuthService/RevokeToken', { token: first });
  expect((await revoked.end).reason).toBe('TOKEN_REVOKED');
  const [, claims = ''] = second.split('.');
  const { jti } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { jti: string };
  expect(await store.query(`SELECT FROM revocations WHERE kind = 'jti' AND id = $1`, [jti])).toEqual([]);
  await fixture.deleteService(account.id);
  expect((await kept.end).reason).toBe('TOKEN_REVOKED');
});

test('health reports the service', async () => {
  const { response } = await service.call('grpc.health.v1.Health/Check', {
    service: 'postern.v1.TrustService',
  });
  expect(response).toEqual({ status: 'SERVING' });
});
