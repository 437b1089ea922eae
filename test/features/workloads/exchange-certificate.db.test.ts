import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createBinding, deleteBinding } from '../../../src/features/workloads/manage-bindings.ts';
import { openAdminFixture, type AdminFixture } from '../../support/admin-fixture.ts';
import { createAuthority, writeIssued } from '../../support/certificates.ts';
import { untilBlocked } from '../../support/until-blocked.ts';
import { testCall } from '../../support/test-call.ts';
import { invoke, type Outcome, startTestService, type TestService } from '../../support/test-service.ts';

const actor = { type: 'operator', id: null } as const;
const authority = createAuthority('ours');
const folder = mkdtempSync(join(tmpdir(), 'postern-bound-'));
const caFile = join(folder, 'ca.crt');
const clients: grpc.Client[] = [];
let service: TestService;
let fixture: AdminFixture;

beforeAll(async () => {
  writeFileSync(caFile, authority.cert);
  const server = writeIssued(folder, 'server', authority.issue({}));
  service = await startTestService({
    POSTERN_TLS_CERT: server.cert,
    POSTERN_TLS_KEY: server.key,
    POSTERN_TLS_CLIENT_CA: caFile,
  });
  fixture = await openAdminFixture(service.database);
});
afterAll(async () => {
  for (const client of clients) client.close();
  await service.stop();
  rmSync(folder, { recursive: true });
});

/** ExchangeToken without a subject token, on a connection with a certificate of these names. */
function exchangeAs(names: { dns?: string[]; uris?: string[] }): Promise<Outcome> {
  const { cert, key } = authority.issue(names);
  const credentials = grpc.credentials.createSsl(readFileSync(caFile), Buffer.from(key), Buffer.from(cert));
  const client = new grpc.Client(service.grpcAddress, credentials);
  clients.push(client);
  return invoke(client, 'postern.v1.AuthService/ExchangeToken', {});
}
const bind = (accountId: string, claims: Record<string, string>) =>
  createBinding(
    service.database,
    { issuer: null, account: { id: accountId }, claims, roles: [], actor },
    testCall(),
  );

test('W12 a bound certificate gets tokens; one with several URIs is no SPIFFE identity; names are compared exactly', async () => {
  const { id } = await fixture.createService('mesh', ['reader']);
  expect((await exchangeAs({ uris: ['spiffe://td/a'] })).reason).toBe('IDENTITY_NOT_BOUND');
  const { id: bindingId } = await bind(id, { uri: 'spiffe://td/a' });
  await bind(id, { dns: 'a.example' });
  const { response } = await exchangeAs({ uris: ['spiffe://td/a'] });
  const token = String(response?.['access_token']);
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object;
  expect(claims).toMatchObject({ sub: id, client_id: id, name: 'mesh', roles: ['reader'] });
  expect((await exchangeAs({ uris: ['spiffe://td/a', 'spiffe://td/b'] })).reason).toBe('IDENTITY_NOT_BOUND');
  expect((await exchangeAs({ uris: ['spiffe://td/a/b'] })).reason).toBe('IDENTITY_NOT_BOUND');
  // Nor does another case of the scheme count beside others, whatever has written the binding.
  await service.database.query(
    `INSERT INTO workload_bindings (id, account_id, claims) VALUES (gen_random_uuid(), $1, '{"uri":"SPIFFE://td/c"}')`,
    [id],
  );
  expect((await exchangeAs({ uris: ['SPIFFE://td/c', 'https://c.example/x'] })).reason).toBe('IDENTITY_NOT_BOUND'); // prettier-ignore
  expect((await exchangeAs({ dns: ['a.example', 'b.example'] })).response).toBeDefined();
  expect((await exchangeAs({ dns: ['sub.a.example'] })).reason).toBe('IDENTITY_NOT_BOUND');
  // W15: the account loses a role while the certificate is exchanged.
  let late: Promise<Outcome> | undefined;
  await service.database.database.unlimited(async (trx) => {
    await trx.raw(`UPDATE service_accounts SET roles = '{}' WHERE id = '${id}'`);
    late = exchangeAs({ uris: ['spiffe://td/a'] });
    await untilBlocked(service.database, late);
  });
  expect((await late)?.reason).toBe('CONFLICT');
  const none = await exchangeAs({});
  expect([none.reason, none.message]).toEqual([
    'CREDENTIALS_MISSING',
    expect.stringContaining('nothing to exchange'),
  ]);
  const { revokedTokens } = await deleteBinding(
    { database: service.database.database, trust: null },
    { id: bindingId, actor },
    testCall(),
  );
  expect(revokedTokens).toBe(1);
  expect((await exchangeAs({ uris: ['spiffe://td/a'] })).reason).toBe('IDENTITY_NOT_BOUND');
});
