import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { postAsPage, sendRequest } from '../support/browser-request.ts';
import { createAuthority, writeIssued } from '../support/certificates.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { scrape } from '../support/scrape.ts';
import { serviceEnvironment } from '../support/service-environment.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const email = 'root@example.com';
const password = 'correct horse battery';
const listUsers = '/postern.v1.AdminService/ListUsers';
const login = '/postern.v1.AuthService/Login';
const built = new URL('../../dist/console/', import.meta.url);
/** Of all files together, compressed. */
const MAX_CONSOLE_BYTES = 60 * 1024;

const folder = mkdtempSync(join(tmpdir(), 'postern-console-'));
const server = writeIssued(folder, 'server', createAuthority('ca').issue({ dns: ['*.tls.example'] }));
const listedOrigin = 'https://app.example.com';
let database: TestDatabase;
let service: TestService;
let consoleUrl: string;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(
    {
      POSTERN_CONSOLE: 'on',
      POSTERN_CONSOLE_LISTEN: '127.0.0.1:0',
      POSTERN_ADMIN_LISTEN: '127.0.0.1:0',
      POSTERN_HTTP_RPC: 'off',
      POSTERN_CORS_ORIGINS: listedOrigin,
      POSTERN_HTTP_HOSTS: 'console.internal',
      POSTERN_TLS_CERT: server.cert,
      POSTERN_TLS_KEY: server.key,
    },
    database,
  );
  consoleUrl = service.consoleUrl ?? '';
  await service.addUser(email, password, ['admin']);
});
afterAll(async () => {
  await endEveryPostern();
  await service.stop();
  await database.drop();
  rmSync(folder, { recursive: true });
});

describe('with POSTERN_CONSOLE_LISTEN', () => {
  test('C02 the console is there with the RPCs of its pages, whatever the other settings say', async () => {
    const page = await sendRequest(`${consoleUrl}/console/`);
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    for (const [, file = ''] of page.text.matchAll(/(?:href|src)="([^":]+)"/g))
      expect([file, (await sendRequest(`${consoleUrl}/console/${file}`)).status]).toEqual([file, 200]);
    const opened = await postAsPage(`${consoleUrl}/console/session`, { email, password });
    expect(opened.status).toBe(200);
    const authorization = `Bearer ${String(opened.json['accessToken'])}`;
    const users = await postAsPage(`${consoleUrl}${listUsers}`, {}, { authorization });
    expect(users.json['users']).toMatchObject([{ email }]);
    expect((await postAsPage(`${consoleUrl}${listUsers}`, {})).reason).toBe('CREDENTIALS_MISSING');
  });

  test('C02 nothing else is there but health', async () => {
    for (const path of ['/livez', '/readyz'])
      expect((await sendRequest(`${consoleUrl}${path}`)).status).toBe(200);
    for (const path of ['/metrics', '/.well-known/jwks.json', '/.well-known/openid-configuration', '/'])
      expect([path, (await sendRequest(`${consoleUrl}${path}`)).status]).toEqual([path, 404]);
    for (const path of ['/oauth/token', '/login', '/postern.v1.TrustService/WatchTrust'])
      expect([path, (await postAsPage(`${consoleUrl}${path}`, {})).status]).toEqual([path, 404]);
  });

  test('C02 the HTTP listener has neither the console nor RPCs', async () => {
    for (const path of ['/console', '/console/'])
      expect([path, (await sendRequest(`${service.httpUrl}${path}`)).status]).toEqual([path, 404]);
    for (const path of ['/console/session', listUsers, login])
      expect([path, (await postAsPage(`${service.httpUrl}${path}`, {})).status]).toEqual([path, 404]);
  });

  test('C04 its hosts are those of the settings and of its certificate', async () => {
    const statusOf = async (host: string) =>
      (await sendRequest(`${consoleUrl}/console/`, { headers: { host } })).status;
    expect(await statusOf('console.internal:8443')).toBe(200);
    expect(await statusOf('a.tls.example')).toBe(200);
    expect(await statusOf('tls.example')).toBe(421);
    const renewed = createAuthority('ca').issue({ dns: ['renewed.example'] });
    writeIssued(folder, 'server', renewed);
    await service.tls?.reload();
    expect(await statusOf('renewed.example')).toBe(200);
    expect(await statusOf('a.tls.example')).toBe(421);
  });

  test('C02 no page of another origin may call it, not even a listed one', async () => {
    const headers = { origin: listedOrigin, 'access-control-request-method': 'POST' };
    const preflight = await sendRequest(`${consoleUrl}${login}`, { method: 'OPTIONS', headers });
    expect(preflight.status).toBe(405);
    expect(preflight.headers['access-control-allow-origin']).toBeUndefined();
  });

  test('C02 its connections are counted under a name of its own', async () => {
    const { httpUrl } = await startPlain({ POSTERN_CONSOLE_LISTEN: '127.0.0.1:0' });
    const metrics = await scrape(httpUrl);
    expect(metrics.value('postern_connections_closed_total', { listener: 'console' })).toBe(0);
    const { httpUrl: without } = await startPlain({ POSTERN_HTTP_RPC: 'admin' });
    expect(await (await fetch(`${without}/metrics`)).text()).not.toContain('listener="console"');
  });
});

const started: TestService[] = [];
async function startPlain(environment: Record<string, string>): Promise<TestService> {
  const plain = await startTestService({ POSTERN_CONSOLE: 'on', ...environment }, database);
  started.push(plain);
  return plain;
}
afterAll(async () => {
  for (const plain of started) await plain.stop();
});

test('C02 a unix socket is only for the user of the process, and takes every host', async () => {
  const socketPath = join(folder, 'console.sock');
  await startPlain({ POSTERN_CONSOLE_LISTEN: `unix:${socketPath}` });
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
  const headers = { host: 'anything.example' };
  expect((await sendRequest('http://anything.example/console/', { socketPath, headers })).status).toBe(200);
});

test('C01 without it the console is on the HTTP listener, and absent where it is off', async () => {
  const on = await startPlain({ POSTERN_HTTP_RPC: 'admin' });
  expect((await sendRequest(`${on.httpUrl}/console/`)).status).toBe(200);
  expect(on.consoleUrl).toBeNull();
  const off = await startPlain({ POSTERN_CONSOLE: 'off', POSTERN_HTTP_RPC: 'admin' });
  expect((await sendRequest(`${off.httpUrl}/console/`)).status).toBe(404);
  expect((await postAsPage(`${off.httpUrl}/console/session`, { email, password })).status).toBe(404);
});

test('C02 the line of a process that listens names it, and an address in use ends the start', async () => {
  const environment = {
    ...serviceEnvironment(database.url),
    POSTERN_CONSOLE: 'on',
    POSTERN_CONSOLE_LISTEN: '127.0.0.1:0',
  };
  const process = startPostern(['serve'], { environment });
  const { console: address = '' } = await process.listening;
  // The bundle finds the files that it is shipped with.
  expect((await sendRequest(`http://${address}/console/`)).status).toBe(200);
  const taken = { ...environment, POSTERN_CONSOLE_LISTEN: address };
  const refused = await startPostern(['serve'], { environment: taken }).end;
  expect(refused).toMatchObject({ exitCode: 3, stdout: '' });
  expect(refused.stderr).toContain(`${address} is in use`);
  process.kill('SIGTERM');
  expect((await process.end).exitCode).toBe(0);
});

test('C12 all files of the console together have at most 60 KB, compressed', () => {
  const names = readdirSync(built).filter((name) => name !== 'NOTICES.txt');
  expect(names).toContain('index.html');
  // A name that is kept for good must have a hash.
  for (const name of names) expect(name).toMatch(/^(?:index\.html|[\w-]+-[A-Z\d]{8}\.(?:js|css|svg))$/);
  const sizes = names.map(
    (name) => gzipSync(readFileSync(fileURLToPath(new URL(name, built))), { level: 9 }).length,
  );
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(MAX_CONSOLE_BYTES);
});
