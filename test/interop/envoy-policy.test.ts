import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import * as grpc from '@grpc/grpc-js';
import { afterAll, expect, test } from '@jest/globals';
import { parse } from 'yaml';

import { endEveryPostern, runPostern, startPostern } from '../support/run-postern.ts';
import { anyPorts } from '../support/service-environment.ts';
import { createTestDatabase } from '../support/test-database.ts';
import { invoke } from '../support/test-service.ts';
import { startEnvoy } from './running-envoy.ts';
import { describeWith, toolPath } from './tool.ts';

const upstreamFile = fileURLToPath(new URL('../../deploy/envoy/upstream.mjs', import.meta.url));
const password = 'correct horse battery';

describeWith('envoy', 'G29 the routes of postern policy envoy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-envoy-policy-'));
  const cleanups: (() => unknown)[] = [];
  afterAll(async () => {
    for (const cleanUp of cleanups.reverse()) await cleanUp();
    await endEveryPostern();
    rmSync(folder, { recursive: true });
  });

  test('hold each rule in a real Envoy', async () => {
    const database = await createTestDatabase();
    cleanups.push(() => database.drop());
    const environment = {
      ...anyPorts,
      DATABASE_URL: database.url,
      POSTERN_MASTER_KEY: randomBytes(32).toString('base64'),
    };
    const service = startPostern(['serve'], { environment });
    const { grpc: grpcAddress, http } = await service.listening;
    const client = new grpc.Client(grpcAddress, grpc.credentials.createInsecure());
    cleanups.push(() => client.close());
    const login = async (role: string) => {
      const email = `${role}@example.com`;
      const words = ['user', 'create', '--email', email, '--role', role, '--password-stdin'];
      expect((await runPostern(words, { environment, stdin: password })).exitCode).toBe(0);
      const { response } = await invoke(client, 'postern.v1.AuthService/Login', { email, password });
      return String(response?.['access_token']);
    };
    const [reader, admin] = [await login('reader'), await login('admin')];

    const upstream = spawn(process.execPath, [upstreamFile, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    cleanups.push(() => upstream.kill('SIGTERM'));
    const [line] = (await once(upstream.stdout, 'data')) as [Buffer];
    const { port: upstreamPort } = JSON.parse(line.toString()) as { port: number };

    const file = join(folder, 'policy.yaml');
    writeFileSync(
      file,
      'version: 1\nmethods:\n  /shop.Orders/Hours: public\n  /shop.Orders/List: {}\n  /shop.Orders/Cancel: {roles: [admin]}\n',
    );
    const printed = await runPostern(['policy', 'envoy', file, '--cluster', 'upstream']);
    const { routes } = parse(printed.stdout) as { routes: unknown };
    const portOf = (address: string) => Number(address.split(':').at(-1));
    const ports = { 50051: portOf(grpcAddress), 8080: portOf(http), 8000: upstreamPort };
    const envoy = await startEnvoy(toolPath('envoy'), 'envoy.yaml', folder, ports, (json) => {
      const configuration: unknown = JSON.parse(json, (key, value: unknown) =>
        key === 'routes' ? routes : value,
      );
      return JSON.stringify(configuration);
    });
    cleanups.push(() => envoy.stop());

    const answer = async (path: string, token?: string) => {
      const headers = { 'x-postern-subject': 'root', ...(token && { authorization: `Bearer ${token}` }) };
      const response = await fetch(envoy.url + path, { headers });
      return [response.status, (await response.text()).includes('root')];
    };
    expect(await answer('/shop.Orders/Hours')).toEqual([200, false]);
    expect(await answer('/shop.Orders/List')).toEqual([401, false]);
    expect(await answer('/shop.Orders/List', reader)).toEqual([200, false]);
    expect(await answer('/shop.Orders/Cancel', reader)).toEqual([403, false]);
    expect(await answer('/shop.Orders/Cancel', admin)).toEqual([200, false]);
    for (const path of ['/shop.Orders/Nothing', '/shop.Orders/cancel', '/shop.Orders/Canc%65l', '/'])
      expect([path, ...(await answer(path, admin))]).toEqual([path, 403, false]);
  });
});
