import { credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';

import { bearerInterceptor, serviceCredential, ServiceCredential } from '../../src/client/postern-client.ts';
import { AdminServiceClient } from '../../src/generated/postern/v1/admin.ts';
import { TrustServiceClient } from '../../src/generated/postern/v1/trust.ts';
import { type SourceEvent, StreamTrustSource } from '../../src/trust/stream-trust-source.ts';
import { TrustBundle } from '../../src/trust/trust-bundle.ts';
import { until } from '../support/wait-for.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

let service: TestService;
const cleanups: (() => void)[] = [];
beforeAll(async () => {
  service = await startTestService();
});
afterEach(() => {
  jest.restoreAllMocks();
  for (const close of cleanups.splice(0).reverse()) close();
});
afterAll(() => service.stop());

async function newCredential(name: string): Promise<ServiceCredential> {
  const { id, secret } = await (await openAdminFixture(service.database)).createService(name);
  const account = { clientId: id, clientSecret: secret };
  const credential = serviceCredential({ address: service.grpcAddress }, account);
  cleanups.push(() => credential.close());
  return credential;
}

const logins = () =>
  service.logLines.filter((line) => line.includes('AuthService/IssueServiceToken"')).length;
const revoke = (token: string) => service.call('postern.v1.AuthService/RevokeToken', { token });

test('S12 a refused token is forgotten: after one more login calls succeed again', async () => {
  const credential = await newCredential('caller');
  const client = new AdminServiceClient(service.grpcAddress, credentials.createInsecure(), {
    interceptors: [bearerInterceptor(credential)],
  });
  cleanups.push(() => client.close());
  const answer = () =>
    new Promise<status>((resolve) =>
      client.listSigningKeys({}, new Metadata(), (error) => resolve(error?.code ?? status.OK)),
    );
  const before = logins();
  // The account is authenticated, but is no administrator.
  expect(await answer()).toBe(status.PERMISSION_DENIED);
  const first = await credential.accessToken();
  // Any other refusal does not cause a new login.
  expect([await credential.accessToken(), logins() - before]).toEqual([first, 1]);

  await revoke(first);
  expect(await answer()).toBe(status.UNAUTHENTICATED);
  await until(async () => (await answer()) === status.PERMISSION_DENIED, 'a new token is sent');
  expect(await credential.accessToken()).not.toBe(first);
  expect(logins() - before).toBe(2);
});

test('S12 a watcher whose token was revoked logs in again and keeps watching', async () => {
  const credential = await newCredential('watcher');
  const client = new TrustServiceClient(service.grpcAddress, credentials.createInsecure());
  const events: SourceEvent[] = [];
  const source = new StreamTrustSource({
    client,
    credential,
    bundle: new TrustBundle(),
    report: (event) => events.push(event),
  });
  cleanups.push(
    () => client.close(),
    () => source.stop(),
  );
  const before = logins();
  source.start();
  await until(() => source.connected, 'connected');
  const first = await credential.accessToken();
  await revoke(first);
  await until(() => events.filter(({ kind }) => kind === 'connected').length === 2, 'connected again');
  expect(events).toContainEqual({
    kind: 'disconnected',
    end: expect.objectContaining({ code: status.UNAUTHENTICATED }),
  });
  expect(await credential.accessToken()).not.toBe(first);
  expect(logins() - before).toBe(2);
});

test('a token is forgotten only when that token is refused, and not in its first second', async () => {
  let nowMs = 1_000;
  jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
  let made = 0;
  const credential = new ServiceCredential(() =>
    Promise.resolve({ accessToken: `token ${++made}`, expiresInSeconds: 600 }),
  );
  expect(await credential.accessToken()).toBe('token 1');
  nowMs += 999;
  credential.forget('token 1');
  expect(await credential.accessToken()).toBe('token 1');
  nowMs += 1;
  credential.forget('token 1');
  expect(await credential.accessToken()).toBe('token 2');
  nowMs += 1_000;
  // A slow call reports the refusal of the first token late.
  credential.forget('token 1');
  expect(await credential.accessToken()).toBe('token 2');
  credential.forget();
  expect(await credential.accessToken()).toBe('token 3');
});
