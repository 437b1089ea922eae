import { statSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { askReflection } from '../support/ask-reflection.ts';
import { channelz } from '../support/channelz.ts';
import { createAuthority, writeIssued } from '../support/certificates.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { runHere } from '../support/run-here.ts';
import { scrape } from '../support/scrape.ts';
import { serviceEnvironment } from '../support/service-environment.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import {
  invoke,
  methodOf,
  type Message,
  startTestService,
  type TestService,
} from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

const password = 'correct horse battery';
const root = 'root@example.com';
const listUsers = 'postern.v1.AdminService/ListUsers';
const login = 'postern.v1.AuthService/Login';
const health = 'grpc.health.v1.Health/Check';
const folder = mkdtempSync(join(tmpdir(), 'postern-admin-'));
const channelzPath = join(folder, 'channelz.sock');
let database: TestDatabase;
let service: TestService;
let admin: grpc.Client;
let publicClient: grpc.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(
    {
      POSTERN_ADMIN_LISTEN: '127.0.0.1:0',
      POSTERN_HTTP_RPC: 'admin',
      POSTERN_REFLECTION: 'on',
      POSTERN_CHANNELZ_LISTEN: `unix:${channelzPath}`,
    },
    database,
  );
  await service.addUser(root, password, ['admin']);
  admin = clientOf(service.adminAddress);
  publicClient = clientOf(service.grpcAddress);
});
afterAll(async () => {
  await endEveryPostern();
  admin.close();
  publicClient.close();
  await service.stop();
  await database.drop();
  rmSync(folder, { recursive: true });
});

function clientOf(address: string | null, credentials = grpc.credentials.createInsecure()): grpc.Client {
  if (address === null) throw new Error('there is no such listener');
  return new grpc.Client(address, credentials, { 'grpc.use_local_subchannel_pool': 1 });
}
const bearerOf = async (client: grpc.Client) => {
  const { response, message } = await invoke(client, login, { email: root, password });
  if (!response) throw new Error(message);
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${String(response['access_token'])}`);
  return metadata;
};
const questions = [
  { list_services: '' },
  { file_containing_symbol: 'postern.v1.AdminService' },
  { file_containing_symbol: 'postern.v1.AdminService.ListUsers' },
  { file_by_filename: 'postern/v1/admin.proto' },
  { file_containing_symbol: 'postern.v1.TrustService' },
  { file_containing_symbol: 'postern.v1.AuthService.Login' },
];
test('R46 channelz shows both gRPC listeners of the service, and neither serves it', async () => {
  const debug = new grpc.Client(`unix:${channelzPath}`, grpc.credentials.createInsecure());
  const { response } = await channelz(debug, 'GetServers');
  debug.close();
  const shown = response?.server?.flatMap(({ listen_socket }) => listen_socket.map(({ name }) => name)) ?? [];
  expect(shown).toEqual(expect.arrayContaining([service.grpcAddress, service.adminAddress]));
  for (const client of [admin, publicClient])
    expect(await channelz(client, 'GetServers')).toMatchObject({ code: grpc.status.UNIMPLEMENTED });
});

const reflected = async (client: grpc.Client) => {
  const [list, ...files] = await askReflection(client, questions);
  return {
    services: list?.list_services_response?.service.map(({ name }) => name) ?? [],
    found: files.map((answer) => (answer.file_descriptor_response?.file_descriptor_proto.length ?? 0) > 0),
  };
};

describe('W28 with POSTERN_ADMIN_LISTEN', () => {
  test('an administrator logs in and administers on that listener', async () => {
    const metadata = await bearerOf(admin);
    const { code, response } = await invoke(admin, listUsers, {}, metadata);
    expect(code).toBe(grpc.status.OK);
    expect(response?.['users']).toMatchObject([{ email: root }]);
    // The same guard as everywhere.
    expect((await invoke(admin, listUsers, {})).reason).toBe('CREDENTIALS_MISSING');
    for (const name of ['', 'postern.v1.AdminService', 'postern.v1.AuthService'])
      expect((await invoke(admin, health, { service: name })).response?.['status']).toBe('SERVING');
  });

  test('AdminService is UNIMPLEMENTED on the gRPC listener, whoever calls', async () => {
    const metadata = await bearerOf(publicClient);
    for (const credential of [metadata, new grpc.Metadata()])
      for (const method of ['ListUsers', 'CreateUser', 'CreateAudience', 'ListServiceAccounts'])
        expect((await invoke(publicClient, `postern.v1.AdminService/${method}`, {}, credential)).code).toBe(
          grpc.status.UNIMPLEMENTED,
        );
    expect((await invoke(publicClient, health, { service: 'postern.v1.AdminService' })).code).toBe(
      grpc.status.NOT_FOUND,
    );
    expect((await invoke(publicClient, health, { service: '' })).response?.['status']).toBe('SERVING');
  });

  test('AdminService is absent from the HTTP listener, although POSTERN_HTTP_RPC says admin', async () => {
    const metadata = await bearerOf(publicClient);
    const post = (path: string) =>
      fetch(`${service.httpUrl}/${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: String(metadata.get('authorization')[0]),
        },
        body: '{}',
      });
    expect((await post(listUsers)).status).toBe(404);
    expect((await post('postern.v1.AuthService/VerifyToken')).status).toBe(200);
  });

  test('reflection shows on each listener what it serves', async () => {
    const open = await reflected(publicClient);
    expect(open.services).toContain('postern.v1.AuthService');
    expect(open.services).toContain('postern.v1.TrustService');
    expect(open.services).not.toContain('postern.v1.AdminService');
    expect(open.found).toEqual([false, false, false, true, true]);
    const ofAdmin = await reflected(admin);
    expect(ofAdmin.services).toContain('postern.v1.AdminService');
    expect(ofAdmin.services).not.toContain('postern.v1.TrustService');
    expect(ofAdmin.services).not.toContain('envoy.service.auth.v3.Authorization');
    expect(ofAdmin.found).toEqual([true, true, true, false, true]);
  });

  test('the listener of administrators serves no verifiers', async () => {
    const check = { attributes: { request: { http: { headers: {} } } } };
    expect((await invoke(admin, 'envoy.service.auth.v3.Authorization/Check', check)).code).toBe(
      grpc.status.UNIMPLEMENTED,
    );
    const watch = methodOf('postern.v1.TrustService/WatchTrust');
    const call = admin.makeServerStreamRequest(
      watch.path,
      watch.requestSerialize,
      watch.responseDeserialize,
      {},
      await bearerOf(admin),
    );
    const code = await new Promise((resolve) =>
      call.on('error', ({ code: ended }: grpc.ServiceError) => resolve(ended)).resume(),
    );
    expect(code).toBe(grpc.status.UNIMPLEMENTED);
  });

  test('calls and refused connections are logged and counted as those of that listener', async () => {
    service.logLines.length = 0;
    await invoke(admin, listUsers, {}, await bearerOf(admin));
    expect(service.logLines.some((line) => line.includes(listUsers))).toBe(true);
    const { port } = new URL(`http://${String(service.adminAddress)}`);
    const stranger = connect(Number(port), '127.0.0.1');
    stranger.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    stranger.on('error', () => undefined).resume();
    await new Promise((resolve) => stranger.once('close', resolve));
    await until(async () => {
      const metrics = await scrape(service.httpUrl);
      return (
        metrics.value('postern_handshakes_failed_total', { listener: 'admin', reason: 'not-http2' }) === 1
      );
    }, 'the connection is counted');
    expect(service.logLines.some((line) => line.includes('"listener":"admin"'))).toBe(true);
    const metrics = await scrape(service.httpUrl);
    expect(metrics.value('postern_connections_closed_total', { listener: 'admin' })).toBe(0);
    expect(metrics.value('postern_handshakes_failed_total', { listener: 'grpc', reason: 'not-http2' })).toBe(
      0,
    );
  });
});

test('without it AdminService is served as before, and no metric has the label', async () => {
  const usual = await startTestService({}, database);
  const client = clientOf(usual.grpcAddress);
  expect(usual.adminAddress).toBeNull();
  expect((await invoke(client, listUsers, {}, await bearerOf(client))).code).toBe(grpc.status.OK);
  expect((await reflected(client)).services).toContain('postern.v1.AdminService');
  expect(
    (await scrape(usual.httpUrl)).series.filter((series) => series.includes('listener="admin"')),
  ).toEqual([]);
  client.close();
  await usual.stop();
});

test('W28 a client certificate of an administrator is accepted there, over TLS as on the other listeners', async () => {
  const authority = createAuthority('ours');
  const identity = 'spiffe://example.org/admin';
  const server = writeIssued(folder, 'server', authority.issue({ dns: ['localhost'] }));
  writeFileSync(join(folder, 'ca.crt'), authority.cert);
  const own = authority.issue({ uris: [identity] });
  const credentials = grpc.credentials.createSsl(
    Buffer.from(authority.cert),
    Buffer.from(own.key),
    Buffer.from(own.cert),
  );
  const secured = await startTestService(
    {
      POSTERN_ADMIN_LISTEN: '127.0.0.1:0',
      POSTERN_TLS_CERT: server.cert,
      POSTERN_TLS_KEY: server.key,
      POSTERN_TLS_CLIENT_CA: join(folder, 'ca.crt'),
      POSTERN_TLS_ADMIN_IDENTITIES: identity,
    },
    database,
  );
  const at = (address: string | null) => String(address).replace('127.0.0.1', 'localhost');
  const certified = clientOf(at(secured.adminAddress), credentials);
  expect((await invoke(certified, listUsers, {})).code).toBe(grpc.status.OK);
  const elsewhere = clientOf(at(secured.grpcAddress), credentials);
  expect((await invoke(elsewhere, listUsers, {})).code).toBe(grpc.status.UNIMPLEMENTED);
  const plain = clientOf(secured.adminAddress);
  expect(
    (await invoke(plain, listUsers, {}, new grpc.Metadata(), { deadline: Date.now() + 5_000 })).code,
  ).toBe(grpc.status.UNAVAILABLE);
  for (const client of [certified, elsewhere, plain]) client.close();
  await secured.stop();
});

test('W28 a unix socket is only for the user of the process, and the listener drains with the others', async () => {
  const path = join(folder, 'admin.sock');
  const local = await startTestService({ POSTERN_ADMIN_LISTEN: `unix:${path}` }, database);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const client = clientOf(`unix:${path}`);
  expect((await invoke(client, listUsers, {}, await bearerOf(client))).code).toBe(grpc.status.OK);
  const watch = methodOf('grpc.health.v1.Health/Watch');
  const seen: unknown[] = [];
  const call = client.makeServerStreamRequest(watch.path, watch.requestSerialize, watch.responseDeserialize, {
    service: 'postern.v1.AdminService',
  });
  call.on('data', ({ status }: Message) => seen.push(status)).on('error', () => undefined);
  const ended = new Promise((resolve) => call.once('status', resolve));
  await until(() => seen.length > 0, 'health answers');
  await local.stop();
  await ended;
  expect(seen).toEqual(['SERVING', 'NOT_SERVING']);
  expect((await invoke(client, listUsers, {})).code).toBe(grpc.status.UNAVAILABLE);
  client.close();
});

test('the line of a process that listens names it, doctor checks it, and an address in use ends the start', async () => {
  const environment = { ...serviceEnvironment(database.url), POSTERN_ADMIN_LISTEN: '127.0.0.1:0' };
  const process = startPostern(['serve'], { environment });
  const { admin: address } = await process.listening;
  expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
  const taken = { ...environment, POSTERN_ADMIN_LISTEN: String(address) };
  const { stdout } = await runHere(['doctor', '--json'], { environment: taken });
  expect(stdout).toContain(`${String(address)} is in use`);
  expect(stdout).toContain('POSTERN_ADMIN_LISTEN');
  const refused = await startPostern(['serve'], { environment: taken }).end;
  expect(refused).toMatchObject({ exitCode: 3, stdout: '' });
  expect(refused.stderr).toContain(`${String(address)} is in use`);
  process.kill('SIGTERM');
  expect((await process.end).exitCode).toBe(0);
});
