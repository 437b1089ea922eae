import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { methodTable } from '../../src/rpc/method-table.ts';
import { callAny } from '../support/any-call.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

let service: TestService;
let client: grpc.Client;
beforeAll(async () => {
  service = await startTestService();
  client = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await service.stop();
});

const METADATA = "as metadata 'authorization: Bearer <token>'";
const messages: Readonly<Record<string, string>> = {
  user: `the call has no access token; send it ${METADATA}`,
  service: `the call has no credential; send an access token ${METADATA}, or connect with a client certificate that is listed`,
  admin: `the call has no credential; send an access token ${METADATA}, or connect with a client certificate that is listed`,
};

test.each(
  Object.entries(methodTable)
    .filter(([, { access }]) => access !== 'public')
    .map(([path, { access }]) => [path.slice(1), access] as const),
)('a call of %s without a credential is told what to send', async (method, access) => {
  const { reason, message } = await callAny(client, method, [{}]);
  expect([reason, message]).toEqual(['CREDENTIALS_MISSING', messages[access]]);
});

test.each([
  ['nothing', {}],
  ['another scheme', { authorization: 'Basic YTpi' }],
])('VerifyToken with %s names its field, which the other methods do not have', async (_name, metadata) => {
  const { reason, message } = await service.call('postern.v1.AuthService/VerifyToken', {}, metadata);
  expect([reason, message]).toEqual([
    'CREDENTIALS_MISSING',
    `the call has no token; send it in access_token or ${METADATA}`,
  ]);
});
