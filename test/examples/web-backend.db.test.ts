import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { openAdminFixture } from '../support/admin-fixture.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { until } from '../interop/until.ts';

const file = fileURLToPath(new URL('../../examples/web-backend/server.mjs', import.meta.url));
const email = 'ann@example.com';
const password = 'correct horse battery';
const own = { 'sec-fetch-site': 'same-origin' };

let postern: TestService;
let backend: ChildProcess;
let url: string;
let userId: string;

beforeAll(async () => {
  postern = await startTestService();
  userId = await postern.addUser(email, password, ['editor']);
  const { id, secret } = await (await openAdminFixture(postern.database)).createService('web');
  const child = spawn(process.execPath, [file, postern.grpcAddress, '0', 'https://app.example.com'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CLIENT_ID: id, CLIENT_SECRET: secret },
  });
  backend = child;
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  url = `http://127.0.0.1:${(JSON.parse(line.toString()) as { port: number }).port}`;
});
afterAll(async () => {
  const ended = once(backend, 'exit');
  backend.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});

function post(path: string, headers: Record<string, string> = own, form: Record<string, string> = {}) {
  return fetch(url + path, {
    method: 'POST',
    headers,
    body: new URLSearchParams(form),
    redirect: 'manual',
  });
}
const login = (headers: Record<string, string> = own, typed = password) =>
  post('/login', headers, { email, password: typed });
const cookieOf = (response: Response) => response.headers.getSetCookie().join('\n');
const withCookie = (cookie: string) => ({ ...own, cookie: cookie.split(';', 1)[0] ?? '' });
const me = (token: string) => fetch(`${url}/api/me`, { headers: { authorization: `Bearer ${token}` } });

async function tokenFor(headers: Record<string, string>) {
  const response = await post('/token', headers);
  const body = (await response.json()) as { accessToken: string };
  return { status: response.status, cookie: cookieOf(response), accessToken: body.accessToken };
}

test('a login sets a cookie of this host that no script can read, and shows no token', async () => {
  const response = await login();
  expect([response.status, response.headers.get('location')]).toEqual([303, '/']);
  expect(cookieOf(response)).toMatch(
    /^__Host-refresh=prt_[\w.-]+; Max-Age=\d+; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Strict$/,
  );
  expect(await response.text()).not.toMatch(/prt_|eyJ/);
});

test('the cookie yields access tokens and is replaced, until the logout', async () => {
  const first = withCookie(cookieOf(await login()));
  const renewed = await tokenFor(first);
  expect(renewed).toMatchObject({ status: 200, cookie: expect.stringMatching(/^__Host-refresh=prt_/) });
  expect(withCookie(renewed.cookie)).not.toEqual(first);
  const caller = await until(async () => {
    const response = await me(renewed.accessToken);
    return response.ok && (await response.json());
  });
  expect(caller).toEqual({ subject: userId, roles: ['editor'] });

  const left = await post('/logout', withCookie(renewed.cookie));
  expect([left.status, cookieOf(left)]).toEqual([
    303,
    expect.stringMatching(/^__Host-refresh=; .*Expires=Thu, 01 Jan 1970/),
  ]);
  const refused = await tokenFor(withCookie(renewed.cookie));
  expect(refused).toMatchObject({ status: 401, cookie: expect.stringMatching(/^__Host-refresh=;/) });
  await until(async () => (await me(renewed.accessToken)).status === 401);
});

test('tabs that renew at the same time stay logged in', async () => {
  const headers = withCookie(cookieOf(await login()));
  const tabs = await Promise.all([tokenFor(headers), tokenFor(headers)]);
  expect(tabs.map(({ status }) => status)).toEqual([200, 200]);
  for (const { cookie } of tabs) expect((await tokenFor(withCookie(cookie))).status).toBe(200);
});

test('a wrong password, an address that is none and missing fields get the page with one and the same message', async () => {
  const pages = await Promise.all(
    [login(own, 'wrong horse battery'), post('/login', own, { email: 'x', password }), post('/login')].map(
      async (sent) => {
        const response = await sent;
        expect([response.status, cookieOf(response)]).toEqual([401, '']);
        return response.text();
      },
    ),
  );
  expect(pages[0]).toContain('The e-mail or the password is wrong.');
  expect(new Set(pages).size).toBe(1);
});

test('pages of other sites change nothing', async () => {
  const cookie = withCookie(cookieOf(await login()));
  const foreign: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    {},
  ];
  for (const path of ['/login', '/token', '/logout'])
    for (const headers of foreign)
      expect((await post(path, { cookie: cookie.cookie, ...headers }, { email, password })).status).toBe(403);
  // A browser without sec-fetch-site.
  expect((await login({ origin: 'https://app.example.com' })).status).toBe(303);
  expect((await tokenFor(cookie)).status).toBe(200);
});

test('every response has the strict headers', async () => {
  for (const path of ['/', '/assets/page.js', '/api/me', '/nothing']) {
    const { headers } = await fetch(url + path);
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; .*frame-ancestors 'none'/);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
  }
});

test('Postern counts attempts by the address of the browser', async () => {
  await login({ ...own, 'x-forwarded-for': '203.0.113.9', 'user-agent': 'Browser/1' });
  const rows = await postern.database.query(
    `SELECT host(client_address) AS address FROM sessions WHERE user_agent = 'Browser/1'`,
  );
  expect(rows).toEqual([{ address: '203.0.113.9' }]);
});

test('a body that is too large is refused', async () => {
  expect((await post('/login', own, { email, password: 'x'.repeat(5_000) })).status).toBe(413);
});

test('while Postern is away a logout fails, and the cookie stays', async () => {
  const cookie = withCookie(cookieOf(await login()));
  await postern.stop();
  for (const path of ['/logout', '/token']) {
    const response = await post(path, cookie);
    expect([response.status, response.headers.get('retry-after'), cookieOf(response)]).toEqual([
      503,
      '1',
      '',
    ]);
  }
});
