import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';

import { serviceCredential } from '../../src/client/postern-client.ts';
import type { VerifiedClaims } from '../../src/domain/claims/claims.ts';
import { TrustServiceClient } from '../../src/generated/postern/v1/trust.ts';
import { type SourceEvent, StreamTrustSource } from '../../src/trust/stream-trust-source.ts';
import { TrustBundle } from '../../src/trust/trust-bundle.ts';
import { account } from '../support/account.ts';
import { until } from '../support/wait-for.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const ann = { email: 'ann@example.com', password: 'correct horse battery' };
let service: TestService;
beforeAll(async () => {
  service = await startTestService();
  await service.addUser(ann.email, ann.password);
});
afterAll(() => service.stop());

test('S17 a watcher whose clock was ahead and is set back receives again the revocations that it had purged', async () => {
  const { id, secret } = await (await openAdminFixture(service.database)).createService('watcher');
  const watcher = { clientId: id, clientSecret: secret };
  const credential = serviceCredential({ address: service.grpcAddress }, watcher);
  const client = new TrustServiceClient(service.grpcAddress, credentials.createInsecure());
  const bundle = new TrustBundle();
  const events: SourceEvent[] = [];
  let aheadMs = 86_400_000;
  const source = new StreamTrustSource({
    client,
    credential,
    bundle,
    report: (event) => events.push(event),
    nowMs: () => Date.now() + aheadMs,
  });
  source.start();
  try {
    await bundle.whenLoaded(5_000);
    const tokens = await account.login(service, ann.email, ann.password);
    const claims = { sessionId: tokens.session_id, tokenId: null, keyId: null } as VerifiedClaims;
    expect(await account.revoke(service, tokens.refresh_token)).toBe('OK');
    await until(() => bundle.isRevoked(claims), 'the revocation was received');
    await until(() => !bundle.isRevoked(claims), 'it is purged: by this clock its tokens have expired');

    aheadMs = 0;
    await until(() => bundle.isRevoked(claims), 'it is known again');
    await until(() => source.connected, 'connected again');
    // It is not purged again, now that the clock is right.
    const updates = events.length;
    const purges = jest.spyOn(bundle, 'purge');
    await until(() => purges.mock.calls.length >= 2, 'expired entries are purged');
    expect([bundle.isRevoked(claims), events.length]).toEqual([true, updates]);
  } finally {
    source.stop();
    client.close();
    credential.close();
  }
});
