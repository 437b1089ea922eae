import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { RetryInfo } from '../../src/generated/google/rpc/error_details.ts';
import { Status } from '../../src/generated/google/rpc/status.ts';
import { until } from '../support/wait-for.ts';
import { TcpProxy } from '../support/tcp-proxy.mjs';
import { scrape } from '../support/scrape.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { type Outcome, startTestService, type TestService } from '../support/test-service.ts';

const secret = 'b9b1a1e0d6c84f3b9c5a2f7e8d41c6035f7a9e2b1c8d4f60a3e5b7d9f1c2e4a6';
const keySetOf = (service: TestService, headers: Record<string, string> = {}) =>
  fetch(`${service.httpUrl}/.well-known/jwks.json`, { headers });
const keySetOverGrpc = (service: TestService) => service.call('postern.v1.AuthService/GetJwks', {});

/** The retry delay of a refusal, in seconds. */
function retryDelayOf({ trailers }: Outcome): number | undefined {
  const [bytes] = trailers.get('grpc-status-details-bin');
  if (!(bytes instanceof Buffer)) return undefined;
  const info = Status.decode(bytes).details.find(({ typeUrl }) => typeUrl.endsWith('google.rpc.RetryInfo'));
  return info && RetryInfo.decode(info.value).retryDelay?.seconds;
}

describe('an instance that has not reached its database', () => {
  let store: TestDatabase;
  let proxy: TcpProxy;
  let databaseUrl: string;
  let port: number;
  beforeAll(async () => {
    store = await createTestDatabase();
    const url = new URL(store.url);
    proxy = new TcpProxy(`${url.searchParams.get('host') ?? ''}/.s.PGSQL.${url.port}`);
    port = await proxy.open();
    await proxy.close();
    databaseUrl = `postgres://${url.username}@127.0.0.1:${port}${url.pathname}`;
  });
  afterAll(async () => {
    await proxy.close();
    await store.drop();
  });

  test('K11 answers 503 that must not be cached, and serves the keys once it reaches the database', async () => {
    const service = await startTestService({ DATABASE_URL: databaseUrl }, store);
    try {
      const unknown = await keySetOf(service);
      expect([
        unknown.status,
        unknown.headers.get('cache-control'),
        unknown.headers.get('retry-after'),
      ]).toEqual([503, 'no-store', '1']);
      expect(unknown.headers.get('etag')).toBeNull();
      expect(await unknown.text()).toMatch(/^the keys are not loaded yet/);
      // A client that cached the empty set of an earlier release must not get 304.
      const held = await keySetOf(service, { 'if-none-match': '*' });
      expect(held.status).toBe(503);
      const discovery = await fetch(`${service.httpUrl}/.well-known/openid-configuration`);
      expect([discovery.status, discovery.headers.get('cache-control')]).toEqual([503, 'no-store']);
      const refused = await keySetOverGrpc(service);
      expect([refused.code, refused.reason, retryDelayOf(refused)]).toEqual([
        status.UNAVAILABLE,
        'TRUST_STALE',
        1,
      ]);
      const blind = await scrape(service.httpUrl);
      expect(blind.value('postern_signing_keys')).toBeUndefined();
      expect(blind.value('postern_revocations_live')).toBeUndefined();

      await proxy.open(port);
      await until(async () => (await keySetOf(service)).status === 200, 'the keys are known');
      const known = await keySetOf(service);
      expect(known.headers.get('cache-control')).toBe('public, max-age=600');
      const text = await known.text();
      expect((JSON.parse(text) as { keys: unknown[] }).keys).toHaveLength(1);
      expect((await keySetOverGrpc(service)).response?.['jwks']).toBe(text);
      await proxy.close();
      expect(await (await keySetOf(service)).text()).toBe(text);
    } finally {
      await service.stop();
    }
  });

  test('K11 serves an empty key set in HS256 mode, which has no public keys', async () => {
    const service = await startTestService(
      { DATABASE_URL: databaseUrl, POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: secret },
      store,
    );
    try {
      const empty = await keySetOf(service);
      expect([empty.status, await empty.text()]).toEqual([200, '{"keys":[]}']);
      expect((await keySetOverGrpc(service)).response?.['jwks']).toBe('{"keys":[]}');
      // Nobody can verify its tokens with public keys, so no algorithm is named.
      const discovery = await fetch(`${service.httpUrl}/.well-known/openid-configuration`);
      expect(Object.keys((await discovery.json()) as object)).toEqual(['issuer', 'jwks_uri']);
      expect((await scrape(service.httpUrl)).value('postern_signing_keys', { state: 'active' })).toBe(0);
    } finally {
      await service.stop();
    }
  });
});
