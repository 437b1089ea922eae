import { type Metadata, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';

import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';
import { TrustWatch } from '../../support/trust-watch.ts';
import { watcherMetadata } from '../../support/watcher-metadata.ts';

let store: TestDatabase;
let service: TestService;
let metadata: Metadata;
const watches: TrustWatch[] = [];
beforeAll(async () => {
  store = await createTestDatabase();
  service = await startTestService({}, store);
  metadata = await watcherMetadata(service, store);
});
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
});
afterAll(async () => {
  await service.stop();
  await store.drop();
});

function watchOn(at: TestService): TrustWatch {
  const watch = new TrustWatch(at.grpcAddress, '', { metadata });
  watches.push(watch);
  return watch;
}
test('S12 a logout reaches watchers of every instance', async () => {
  await service.addUser('watcher@example.com', 'correct horse battery');
  const token = await service.tokenOf('watcher@example.com', 'correct horse battery');
  const { response } = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  const name = `sid ${String(response?.['session_id'])}`;
  const other = await startTestService({}, store);
  const pair = [watchOn(service), watchOn(other)];
  await Promise.all(pair.map((watch) => watch.complete()));
  await Promise.all(pair.map((watch) => watch.until(() => watch.heartbeats.length > 0)));
  for (const watch of pair) expect(watch.heartbeats[0]?.news_age_ms).toBeLessThan(1_500);
  const startMs = performance.now();
  await service.call('postern.v1.AuthService/RevokeToken', { token });
  await Promise.all(pair.map((watch) => watch.until(() => watch.revoked.has(name))));
  expect(performance.now() - startMs).toBeLessThan(2_000);
  await other.stop();
});

test('stop ends streams at once', async () => {
  const stopping = await startTestService({}, store);
  const reader = watchOn(stopping);
  const idler = new TrustWatch(stopping.grpcAddress, '', { reads: false, metadata });
  await reader.complete();
  const startMs = performance.now();
  await stopping.stop();
  expect(performance.now() - startMs).toBeLessThan(4_000);
  const { code, reason, requestId } = await reader.end;
  expect([code, reason]).toEqual([status.UNAVAILABLE, 'SHUTTING_DOWN']);
  expect(requestId).toBeDefined();
  await idler.close();
});
