import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { type AuthClient, createAuthClient, PosternError } from '../../src/client/postern-client.ts';
import { AuthServiceService, VerifiedToken } from '../../src/generated/postern/v1/auth.ts';

/** Answers as a service of the release before: it reads neither requirement, and names no level. */
const server = new grpc.Server();
const claims: Partial<VerifiedToken> = {};
let client: AuthClient;
beforeAll(async () => {
  server.addService(
    { verifyToken: AuthServiceService.verifyToken },
    {
      verifyToken: (_call: unknown, callback: grpc.sendUnaryData<VerifiedToken>) =>
        callback(null, { ...VerifiedToken.decode(Buffer.alloc(0)), subject: 'ann', ...claims }),
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  client = createAuthClient({ address: `127.0.0.1:${port}` });
});
afterAll(() => {
  client.close();
  server.forceShutdown();
});

test('M43 a level that the service does not check is no OK', async () => {
  expect((await client.verifyToken({ accessToken: 'a' })).subject).toBe('ann');
  for (const requirement of [
    { minAcr: 'aal2' },
    { minAcr: 'aal1' },
    { maxAuthAgeSeconds: 300 },
    { minAcr: 'aal2', maxAuthAgeSeconds: 300 },
  ] as const) {
    const failure = await client
      .verifyToken({ accessToken: 'a', ...requirement })
      .catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(PosternError);
    expect(failure).toMatchObject({ code: grpc.status.UNIMPLEMENTED, reason: null });
  }
});

test('M43 the claim that is required shows that the service has checked it', async () => {
  Object.assign(claims, { acr: 'aal2' });
  expect((await client.verifyToken({ accessToken: 'a', minAcr: 'aal2' })).acr).toBe('aal2');
  await expect(client.verifyToken({ accessToken: 'a', maxAuthAgeSeconds: 300 })).rejects.toThrow(/upgrade/);
  Object.assign(claims, { authenticatedAt: new Date() });
  expect((await client.verifyToken({ accessToken: 'a', maxAuthAgeSeconds: 300 })).subject).toBe('ann');
});
