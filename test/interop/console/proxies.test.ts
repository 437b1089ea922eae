import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { parse } from 'yaml';

import { createAuthority } from '../../support/certificates.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';
import { launchBrowser } from '../launch-browser.ts';
import { startEnvoy } from '../running-envoy.ts';
import { startNginx } from '../running-nginx.ts';
import { freePort } from '../running-postgres.ts';
import { describeWith, toolPath } from '../tool.ts';

const PASSWORD = 'correct horse battery';
const EMAIL = 'ann@example.com';
const CALLER = '198.51.100.7';

/** The examples of docs/console.md, as they are there. */
const page = readFileSync(fileURLToPath(new URL('../../../docs/console.md', import.meta.url)), 'utf8');
const examples = (language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, text = '']) => text);

let service: TestService;
let browser: Browser;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postern-proxies-'));
  [service, browser] = await Promise.all([
    startTestService({
      POSTERN_HTTP_RPC: 'admin',
      POSTERN_CONSOLE: 'on',
      POSTERN_ISSUER: 'https://auth.example',
      POSTERN_TRUSTED_PROXIES: '127.0.0.1',
    }),
    launchBrowser(),
  ]);
  await service.addUser(EMAIL, PASSWORD, ['admin']);
});
afterAll(async () => {
  await browser.close();
  await service.stop();
  rmSync(folder, { recursive: true });
});
const httpPort = () => Number(new URL(service.httpUrl).port);

/** Opens the console, logs in, reads the users, loads the page again, logs out. @param base ends with a slash */
async function useConsole(base: string): Promise<void> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(10_000);
  try {
    const tab = await context.newPage();
    const requested: string[] = [];
    const refused: string[] = [];
    tab.on('request', (sent) => requested.push(sent.url()));
    tab.on('response', (answer) => {
      if (answer.status() >= 400) refused.push(`${answer.status()} ${answer.url()}`);
    });
    // Without the slash at the end, for whoever types it.
    await tab.goto(`${base}console`);
    expect(tab.url()).toMatch(`${base}console/`);
    await tab.getByLabel('E-mail', { exact: true }).fill(EMAIL);
    await tab.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await tab.getByRole('button', { name: 'Log in', exact: true }).click();
    await tab.getByRole('button', { name: 'Log out' }).waitFor();
    await tab.goto(`${base}console/#/users`);
    await tab.getByText(EMAIL).first().waitFor();
    await tab.reload();
    await tab.getByRole('button', { name: 'Log out' }).click();
    await tab.getByLabel('Password', { exact: true }).waitFor();
    expect(refused).toEqual([]);
    expect(requested.filter((url) => !url.startsWith(base) && !url.startsWith('data:'))).toEqual([]);
  } finally {
    await context.close();
  }
}

/** Sends JSON to a proxy on this machine, as a browser of another machine would reach it. */
function post(url: string, host: string, body: object): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method: 'POST',
        rejectUnauthorized: false,
        headers: { host, 'content-type': 'application/json', 'x-forwarded-for': CALLER },
      },
      (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      },
    );
    sent.once('error', reject);
    sent.end(JSON.stringify(body));
  });
}

const addressesOfRefusals = () =>
  service.database.query(
    `SELECT DISTINCT host(client_address) AS address FROM audit_events WHERE action = 'login' AND outcome = 'refused'`,
  );

describeWith('nginx', 'C75 the console behind nginx, by the examples of its page', () => {
  let port: number;
  let nginx: Awaited<ReturnType<typeof startNginx>>;
  beforeAll(async () => {
    port = await freePort();
    const { cert, key } = createAuthority('proxies').issue({ dns: ['auth.example'] });
    writeFileSync(join(folder, 'auth.example.com.pem'), cert);
    writeFileSync(join(folder, 'auth.example.com.key'), key);
    const [server = '', location = ''] = examples('nginx');
    const config = server
      .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
      .replace('server_name auth.example.com', 'server_name auth.example')
      .replaceAll('/etc/ssl/', `${folder}/`)
      .replace(/}\n$/, `${location}}\n`)
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${httpPort()}`);
    nginx = await startNginx(config, { folder, port });
  });
  afterAll(() => nginx.stop());

  test('at its own host name', () => useConsole(`https://auth.example:${port}/`));
  test('below a prefix', () => useConsole(`https://auth.example:${port}/auth/`));
  test('the caller has the address that the proxy saw, and another host name is refused', async () => {
    const login = `https://127.0.0.1:${port}/postern.v1.AuthService/Login`;
    const wrong = { email: EMAIL, password: 'something else' };
    expect(await post(login, 'auth.example', wrong)).toBe(401);
    expect(await addressesOfRefusals()).toEqual([{ address: CALLER }]);
    expect(await post(login, 'rebound.example', wrong)).toBe(421);
  });
});

describeWith('envoy', 'C75 the console behind Envoy, by the example of its page', () => {
  let envoy: Awaited<ReturnType<typeof startEnvoy>>;
  beforeAll(async () => {
    interface Config {
      static_resources: {
        listeners: [{ filter_chains: [{ filters: [{ typed_config: ConnectionManager }] }] }];
        clusters: [{ name: string; typed_extension_protocol_options?: unknown }];
      };
    }
    interface ConnectionManager {
      route_config: { virtual_hosts: [{ routes: unknown }] };
      http_filters: { name: string }[];
    }
    const [routes = ''] = examples('yaml');
    envoy = await startEnvoy(toolPath('envoy'), 'json.yaml', folder, { 50051: httpPort() }, (json) => {
      const config = JSON.parse(json) as Config;
      const [listener] = config.static_resources.listeners;
      const manager = listener.filter_chains[0].filters[0].typed_config;
      manager.route_config.virtual_hosts[0].routes = parse(routes);
      manager.http_filters = manager.http_filters.filter(({ name }) => /cors|router/.test(name));
      const [cluster] = config.static_resources.clusters;
      cluster.name = 'postern-http';
      // HTTP/1.1, which the HTTP listener speaks.
      delete cluster.typed_extension_protocol_options;
      return JSON.stringify(config);
    });
  });
  afterAll(() => envoy.stop());
  const base = () => `http://localhost:${new URL(envoy.url).port}/`;

  test('at its own address', () => useConsole(base()));
  test('below a prefix', () => useConsole(`${base()}auth/`));
});
