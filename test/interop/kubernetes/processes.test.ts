import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createAuthority } from '../../support/certificates.ts';
import { endEveryPostern, type RunningPostern, runPostern, startPostern } from '../../support/run-postern.ts';
import { masterKey } from '../../support/service-environment.ts';
import { DatabaseProxy } from '../../support/database-proxy.ts';
import { createRole } from '../../support/service-role.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { invoke, type Message } from '../../support/test-service.ts';
import { describeWith } from '../tool.ts';
import { until } from '../until.ts';
import { askJson } from '../workloads/https-json.ts';
import { type Container, containersOf, objectsOf, render } from './chart.ts';
import { type ContainerProcess, processOf } from './container-process.ts';

const email = 'root@example.com';
const password = 'correct horse battery';
const folder = mkdtempSync(join(tmpdir(), 'postern-processes-'));
const authority = createAuthority('chart');

describeWith('helm', 'what the containers of the chart run', () => {
  let database: TestDatabase;
  let proxy: DatabaseProxy;
  let databasePort: number;
  let migration: ContainerProcess;
  let service: ContainerProcess;
  let running: RunningPostern;

  beforeAll(async () => {
    database = await createTestDatabase({ empty: true });
    const role = await createRole(database);
    proxy = new DatabaseProxy(database.url);
    const { pathname } = new URL(database.url);
    databasePort = await proxy.open();
    const proxied = `postgres://${role.name}@127.0.0.1:${databasePort}${pathname}`;
    const values = {
      issuer: 'https://auth.example.com',
      image: { repository: 'registry.example.com/postern' },
      tls: { secretName: 'postern-tls' },
      migrate: { grantTo: role.name },
      settings: { POSTERN_LOG_LEVEL: 'warn', POSTERN_HTTP_RPC: 'auth', POSTERN_OAUTH: true },
    };
    const containers = containersOf(objectsOf(await render(values)));
    const containerOf = (of: string): Container => {
      const found = containers.find((container) => container.of === of);
      if (!found) throw new Error(`there is no ${of}`);
      return found.container;
    };
    migration = processOf(containerOf('Job postern-migrate'), {
      folder: join(folder, 'migrate'),
      files: { '/etc/postern/database/url': database.url },
    });
    const { cert, key } = authority.issue({ dns: ['localhost'] });
    service = processOf(containerOf('Deployment postern'), {
      folder: join(folder, 'serve'),
      files: {
        '/etc/postern/database/url': `${proxied}\n`,
        '/etc/postern/master-key/key': masterKey,
        '/etc/postern/tls/tls.crt': cert,
        '/etc/postern/tls/tls.key': key,
      },
    });
  }, 60_000);
  afterAll(async () => {
    await endEveryPostern();
    await proxy.close();
    await database.drop();
    rmSync(folder, { recursive: true });
  });
  const runIn = ({ environment }: ContainerProcess, words: readonly string[], stdin = '') =>
    runPostern(words, { environment, stdin });

  const call = async (method: string, request: Message) => {
    const { grpc: address } = await running.listening;
    const client = new grpc.Client(
      address.replace('127.0.0.1', 'localhost'),
      grpc.credentials.createSsl(Buffer.from(authority.cert)),
    );
    const ended = await invoke(client, `postern.v1.AuthService/${method}`, request);
    client.close();
    return ended;
  };

  test('R48 the service does not start on a database without its tables', async () => {
    const { exitCode, stderr } = await runIn(service, service.words);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('postern migrate');
  });

  test('R48 the Job migrates, and gives the role of the service what it needs', async () => {
    for (const attempt of ['first', 'again']) {
      const { exitCode, stderr } = await runIn(migration, migration.words);
      expect([attempt, exitCode, exitCode === 0 ? '' : stderr]).toEqual([attempt, 0, '']);
    }
    const [{ count } = { count: 0 }] = await database.query('SELECT count(*)::int FROM users');
    expect(count).toBe(0);
  });

  test('R48 the Deployment starts with these settings', async () => {
    running = startPostern(service.words, { environment: service.environment });
    await expect(running.listening).resolves.toMatchObject({ event: 'listening' });
  });

  test('R48 an administrator is made in its container, and logs in', async () => {
    const words = ['user', 'create', '--email', email, '--role', 'admin', '--password-stdin'];
    const made = await runIn(service, words, `${password}\n`);
    expect([made.exitCode, made.exitCode === 0 ? '' : made.stderr]).toEqual([0, '']);
    expect((await call('Login', { email, password })).code).toBe(grpc.status.OK);
  });

  test('R06 while the database is away the probes take no address from verification, and tokens are verified', async () => {
    const { http } = await running.listening;
    const probe = async (path: string) =>
      (await askJson(`https://${http.replace('127.0.0.1', 'localhost')}${path}`, authority.cert)).status;
    const { response } = await call('Login', { email, password });
    await proxy.close();
    await until(async () => (await probe('/readyz')) === 503);
    expect([await probe('/livez'), await probe('/readyz/verification')]).toEqual([200, 200]);
    const verified = await call('VerifyToken', { access_token: response?.['access_token'] });
    expect(verified.code).toBe(grpc.status.OK);
    expect((await call('Login', { email, password })).code).toBe(grpc.status.UNAVAILABLE);
    await proxy.open(databasePort);
    await until(async () => (await probe('/readyz')) === 200);
    expect((await call('Login', { email, password })).code).toBe(grpc.status.OK);
  });

  test('R48 doctor, beside the running service, finds no fault', async () => {
    const { stdout } = await runIn(service, ['doctor', '--json']);
    const findings = JSON.parse(stdout) as { verdict: string; says: string }[];
    expect(findings.length).toBeGreaterThan(5);
    expect(findings.filter(({ verdict }) => verdict === 'fault')).toEqual([]);
  });

  test('R48 SIGTERM ends it in order, after the delay of the chart', async () => {
    const startedMs = performance.now();
    running.kill('SIGTERM');
    expect((await running.end).exitCode).toBe(0);
    expect(performance.now() - startedMs).toBeGreaterThan(9_000);
  }, 60_000);
});
