import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pino from 'pino';

import { type Sidecar, startSidecar } from '../../src/compose/sidecar/sidecar.ts';
import { loadSettings } from '../../src/config/load-settings.ts';
import { formatListenAddress } from '../../src/net/listen-address.ts';
import { createAuthority, writeIssued } from '../support/certificates.ts';
import { channelzProto } from '../support/channelz.ts';
import { anyPorts } from '../support/service-environment.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { runTool } from './run-tool.ts';
import { describeWith } from './tool.ts';
import { until } from './until.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-probes-'));
const socket = join(folder, 'grpc.sock');
const channelzOfService = join(folder, 'channelz-service.sock');
const channelzOfSidecar = join(folder, 'channelz-sidecar.sock');
let database: TestDatabase;
let service: TestService;
let sidecar: Sidecar;
let sidecarAddress: string;

beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(
    { POSTERN_GRPC_LISTEN: `unix:${socket}`, POSTERN_CHANNELZ_LISTEN: `unix:${channelzOfService}` },
    database,
  );
  const settings = { ...anyPorts, POSTERN_CHANNELZ_LISTEN: `unix:${channelzOfSidecar}` };
  sidecar = await startSidecar(
    loadSettings(settings, { for: 'sidecar' }),
    { trust: `unix:${socket}`, tokens: `unix:${socket}` },
    pino({ level: 'silent' }),
    () => 0,
  );
  sidecarAddress = formatListenAddress(sidecar.grpc);
});
afterAll(async () => {
  await sidecar.stop();
  await service.stop();
  await database.drop();
  rmSync(folder, { recursive: true });
});

describeWith('grpc-health-probe', 'grpc-health-probe', () => {
  /** What kubelet sees: 0 is healthy, 2 no connection, 3 an error, 4 not serving. */
  const probe = async (address: string, name = '', ...words: string[]) =>
    (await runTool('grpc-health-probe', ['-addr', address, '-service', name, ...words])).exitCode;
  const names = [
    '',
    'postern.v1.AuthService',
    'postern.v1.AdminService',
    'postern.v1.TrustService',
    'envoy.service.auth.v3.Authorization',
  ];

  test('of a service on a unix socket, for each name', async () => {
    for (const name of names) expect([name, await probe(`unix:${socket}`, name)]).toEqual([name, 0]);
    expect(await probe(`unix:${socket}`, 'postern.v1.NoService')).toBe(3);
    expect(await probe(`unix:${folder}/nothing.sock`)).toBe(2);
  });

  test('of a sidecar, which has no AdminService', async () => {
    await until(async () => (await probe(sidecarAddress)) === 0);
    expect(await probe(sidecarAddress, 'postern.v1.AuthService')).toBe(0);
    expect(await probe(sidecarAddress, 'postern.v1.AdminService')).toBe(3);
  });

  test('of a sidecar that has received no keys: not serving', async () => {
    const nowhere = `unix:${folder}/nothing.sock`;
    const alone = await startSidecar(
      loadSettings(anyPorts, { for: 'sidecar' }),
      { trust: nowhere, tokens: nowhere },
      pino({ level: 'silent' }),
      () => 0,
    );
    expect(await probe(formatListenAddress(alone.grpc))).toBe(4);
    await alone.stop();
  });

  test('of a service whose database is away: not serving', async () => {
    const url = new URL(database.url);
    url.port = '1';
    const waiting = await startTestService({ DATABASE_URL: url.href }, database);
    for (const name of names) expect([name, await probe(waiting.grpcAddress, name)]).toEqual([name, 4]);
    await waiting.stop();
  });

  describe('with TLS', () => {
    const authority = createAuthority('probes');
    const caFile = join(folder, 'ca.crt');
    const client = writeIssued(folder, 'client', authority.issue({ dns: ['probe.example.com'] }));
    const server = writeIssued(folder, 'server', authority.issue({ dns: ['postern.example.com'] }));
    const tls = ['-tls', '-tls-ca-cert', caFile, '-tls-server-name', 'postern.example.com'];
    const withTls = { POSTERN_TLS_CERT: server.cert, POSTERN_TLS_KEY: server.key };
    beforeAll(() => writeFileSync(caFile, authority.cert));

    test('verifies the certificate of the service', async () => {
      const secured = await startTestService(withTls, database);
      expect(await probe(secured.grpcAddress, '', ...tls)).toBe(0);
      expect(await probe(secured.grpcAddress)).toBe(2);
      await secured.stop();
    });

    test('presents a certificate where one is required', async () => {
      const mutual = await startTestService({ ...withTls, POSTERN_TLS_CLIENT_CA: caFile }, database);
      const own = ['-tls-client-cert', client.cert, '-tls-client-key', client.key];
      expect(await probe(mutual.grpcAddress, 'postern.v1.TrustService', ...tls, ...own)).toBe(0);
      expect(await probe(mutual.grpcAddress, '', ...tls)).not.toBe(0);
      await mutual.stop();
    });
  });
});

describeWith('grpcurl', 'channelz, by grpcurl and the proto file of gRPC', () => {
  const proto = ['-import-path', dirname(channelzProto), '-proto', 'channelz.proto'];
  interface Shown {
    server: { ref: { serverId: string }; data: Record<string, string>; listenSocket: { name: string }[] }[];
    socketRef: { socketId: string }[];
    channel: { data: { target: string; state: { state: string } } }[];
  }
  async function ask(path: string, method: string, request: object = {}): Promise<Shown> {
    const words = ['-plaintext', ...proto, '-d', JSON.stringify(request), `unix:${path}`];
    const { exitCode, stdout, stderr } = await runTool('grpcurl', [
      ...words,
      `grpc.channelz.v1.Channelz/${method}`,
    ]);
    if (exitCode !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as Shown;
  }

  test('R45 lists the servers, their connections and calls, and the channel of a sidecar to its upstream', async () => {
    await service.call('postern.v1.AuthService/VerifyToken', { access_token: 'none' });
    const { server } = await ask(channelzOfService, 'GetServers');
    const own = server.find(({ listenSocket }) => listenSocket.some(({ name }) => name.includes(socket)));
    expect(Number(own?.data['callsStarted'])).toBeGreaterThan(0);
    const { socketRef } = await ask(channelzOfService, 'GetServerSockets', { serverId: own?.ref.serverId });
    expect(socketRef.length).toBeGreaterThan(0);
    const { channel } = await ask(channelzOfSidecar, 'GetTopChannels');
    const upstream = channel.find(({ data }) => data.target.includes(socket));
    expect(upstream?.data.state.state).toBe('READY');
  });

  test('R46 the listeners for callers answer UNIMPLEMENTED', async () => {
    const method = 'grpc.channelz.v1.Channelz/GetServers';
    for (const address of [`unix:${socket}`, sidecarAddress]) {
      const { stderr } = await runTool('grpcurl', ['-plaintext', ...proto, address, method]);
      expect(stderr).toContain('Code: Unimplemented');
    }
  });
});
