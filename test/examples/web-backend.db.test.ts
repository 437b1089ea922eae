import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { until } from '../interop/until.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { forgetUsedCodes, totpOf } from '../support/second-factors.ts';
import { startWebBackend, type WebBackend } from '../support/web-backend.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const origin = 'https://app.example.com';
const own = { 'sec-fetch-site': 'same-origin' };

let postern: TestService;
let backend: WebBackend;
let url: string;
let userId: string;

beforeAll(async () => {
  postern = await startTestService({ POSTERN_PASSKEY_ORIGINS: origin });
  userId = await postern.addUser(email, password, ['editor']);
  backend = await startWebBackend(postern, 'web', { origin });
  url = `http://127.0.0.1:${backend.port}`;
});
let isPosternAway = false;
afterAll(async () => {
  expect(await backend.stop()).toEqual([0, null]);
  // A run of single tests leaves out the one that stops it.
  if (!isPosternAway) await postern.stop();
});

function post(path: string, headers: Record<string, string> = own, body: object = {}) {
  return fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
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
  expect(response.status).toBe(204);
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
  expect(caller).toEqual({ subject: userId, roles: ['editor'], acr: 'aal1' });

  const left = await post('/logout', withCookie(renewed.cookie));
  expect([left.status, cookieOf(left)]).toEqual([
    204,
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

test('a wrong password and an unknown address get one and the same answer', async () => {
  const refusals = [
    login(own, 'wrong horse battery'),
    post('/login', own, { email: 'nobody@example.com', password }),
  ];
  for (const sent of refusals) {
    const response = await sent;
    expect([response.status, cookieOf(response), await response.json()]).toEqual([
      401,
      '',
      { error: 'INVALID_CREDENTIALS' },
    ]);
  }
});

test('what is no text is refused as a mistake of the caller', async () => {
  const noText: unknown[] = [{ a: 1 }, [1], 1, null, { toString: 1, valueOf: 1 }];
  const bodies = [{ email: 'x', password }, {}, [], ...noText.map((value) => ({ email: value, password }))];
  for (const body of bodies) {
    const response = await post('/login', own, body);
    expect([response.status, await response.json()]).toEqual([400, { error: 'FIELD_INVALID' }]);
  }
  const token = await withAccess(await login());
  for (const value of noText) {
    const response = await post('/login/passkey', own, { challengeToken: value, credential: value });
    expect([response.status, await response.json()]).toEqual([400, { error: 'FIELD_INVALID' }]);
    const refused = { status: 400, body: { error: 'FIELD_INVALID' } };
    for (const path of ['/account/totp', '/account/totp/confirm', '/account/passkey', '/account/step-up']) {
      const body = { name: value, factorId: value, code: value, password: value, challengeToken: value };
      expect([path, value, await ask(token, 'POST', path, body)]).toEqual([path, value, refused]);
    }
  }
});

test('a login ends the session that the browser had before', async () => {
  const before = withCookie(cookieOf(await login()));
  const after = withCookie(cookieOf(await login({ ...own, ...before })));
  expect((await tokenFor(before)).status).toBe(401);
  expect((await tokenFor(after)).status).toBe(200);
  // Whoever does not know the password ends nothing.
  expect((await login({ ...own, ...after }, 'wrong horse battery')).status).toBe(401);
  expect((await tokenFor(after)).status).toBe(200);
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
  for (const path of ['/login', '/login/passkey', '/token', '/logout', '/account/totp'])
    for (const headers of foreign)
      expect((await post(path, { cookie: cookie.cookie, ...headers }, { email, password })).status).toBe(403);
  // A browser without sec-fetch-site.
  expect((await login({ origin })).status).toBe(204);
  expect((await tokenFor(cookie)).status).toBe(200);
});

test('every response has the strict headers', async () => {
  for (const path of ['/', '/assets/page.js', '/api/me', '/account/factors', '/nothing']) {
    const { headers } = await fetch(url + path);
    expect(headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; .*frame-ancestors 'none'.*; require-trusted-types-for 'script'; trusted-types 'none'$/,
    );
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
  }
});

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** What the page asks with its access token. */
async function ask(token: string, method: string, path: string, body?: object): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: { ...own, authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text.startsWith('{') ? JSON.parse(text) : {}) as Answer['body'] };
}
const withAccess = async (response: Response) => (await tokenFor(withCookie(cookieOf(response)))).accessToken;

test('M65 somebody with an authenticator app logs in with password and code, and is told what is missing', async () => {
  const ben = { email: 'ben@example.com', password };
  await postern.addUser(ben.email, password, ['editor']);
  const token = await withAccess(await post('/login', own, ben));
  const { body: enrolment } = await ask(token, 'POST', '/account/totp', { name: 'Phone' });
  expect(enrolment['qr']).toEqual({
    size: expect.any(Number),
    path: expect.stringMatching(/^(M\d+ \d+h1v1h-1z)+$/),
  });
  const secret = String(enrolment['secret']);
  const wrong = { factorId: enrolment['factorId'], code: '12345' };
  expect(await ask(token, 'POST', '/account/totp/confirm', wrong)).toEqual({
    status: 401,
    body: { error: 'SECOND_FACTOR_INVALID' },
  });
  const confirmation = { factorId: enrolment['factorId'], code: totpOf(secret) };
  const { body: confirmed } = await ask(token, 'POST', '/account/totp/confirm', confirmation);
  expect(confirmed['recoveryCodes']).toHaveLength(10);
  await forgetUsedCodes(postern, String(confirmation.factorId));
  const raised = String(confirmed['accessToken']);
  expect(await (await me(raised)).json()).toMatchObject({ acr: 'aal2' });

  const asked = await post('/login', own, ben);
  expect([asked.status, cookieOf(asked), await asked.json()]).toEqual([
    401,
    '',
    { error: 'SECOND_FACTOR_REQUIRED', factors: ['totp', 'recovery'] },
  ]);
  const code = totpOf(secret);
  const again = await withAccess(await post('/login', own, { ...ben, code }));
  expect(await (await me(again)).json()).toMatchObject({ acr: 'aal2' });
  expect(await (await post('/login', own, { ...ben, code })).json()).toEqual({
    error: 'SECOND_FACTOR_INVALID',
  });

  const { body: listed } = await ask(again, 'GET', '/account/factors');
  expect(listed).toMatchObject({ factors: [{ name: 'Phone', kind: 'totp' }], recoveryCodesLeft: 10 });
  // A second factor is proven by a code, not by the password.
  expect(await ask(again, 'POST', '/account/step-up', { password })).toMatchObject({
    status: 401,
    body: { error: 'SECOND_FACTOR_REQUIRED' },
  });
  const stepUp = await ask(again, 'POST', '/account/step-up', { code: totpOf(secret, 1) });
  const fresh = String(stepUp.body['accessToken']);
  expect((await ask(fresh, 'POST', '/api/payments')).status).toBe(201);
  const [factor] = listed['factors'] as { id: string }[];
  expect((await ask(fresh, 'DELETE', `/account/factors/${factor?.id ?? ''}`)).status).toBe(204);
  expect((await post('/login', own, ben)).status).toBe(204);
});

test('M66 a passkey logs in without e-mail and password, and once for each challenge', async () => {
  const authenticator = new SoftwareAuthenticator({ origin });
  const token = await withAccess(await login());
  const { body: creation } = await ask(token, 'POST', '/account/passkey/begin');
  const made = authenticator.register(JSON.stringify(creation['options']));
  const registration = { challengeToken: creation['challengeToken'], credential: made, name: 'Laptop' };
  const { body: added } = await ask(token, 'POST', '/account/passkey', registration);
  expect(added).toMatchObject({ factor: { name: 'Laptop', kind: 'passkey' } });
  expect(added['recoveryCodes']).toHaveLength(10);

  const begun = (await (await post('/login/passkey/begin')).json()) as Record<string, string>;
  // By which the page renews its offer: a duration, since the clocks of Postern, the back end and the browser may differ.
  expect(begun).toEqual({
    options: expect.objectContaining({ timeout: 300_000 }) as unknown,
    challengeToken: expect.any(String) as unknown,
  });
  const assertion = {
    challengeToken: begun['challengeToken'],
    credential: authenticator.assert(JSON.stringify(begun['options'])),
  };
  const loggedIn = await withAccess(await post('/login/passkey', own, assertion));
  expect(await (await me(loggedIn)).json()).toEqual({ subject: userId, roles: ['editor'], acr: 'aal2' });
  const again = await post('/login/passkey', own, assertion);
  expect([again.status, cookieOf(again), await again.json()]).toEqual([
    401,
    '',
    { error: 'PASSKEY_INVALID' },
  ]);

  const typed = await login();
  expect([typed.status, await typed.json()]).toEqual([
    401,
    { error: 'SECOND_FACTOR_REQUIRED', factors: ['passkey', 'recovery'] },
  ]);
  const { id } = added['factor'] as { id: string };
  expect((await ask(loggedIn, 'DELETE', `/account/factors/${id}`)).status).toBe(204);
  expect((await login()).status).toBe(204);
});

test('M68 what is sensitive refuses a proof that is too old, and needs no second factor', async () => {
  const impatient = await startWebBackend(postern, 'impatient', {
    origin,
    environment: { MAX_AUTH_AGE: '1' },
  });
  const token = await withAccess(await login());
  const pay = async () => {
    const { port } = impatient;
    const headers = { ...own, authorization: `Bearer ${token}` };
    const response = await fetch(`http://127.0.0.1:${port}/api/payments`, { method: 'POST', headers });
    return response.status === 401 ? response : undefined;
  };
  try {
    const refused = await until(pay);
    expect(await refused.json()).toMatchObject({ error: 'STEP_UP_REQUIRED' });
    expect(refused.headers.get('www-authenticate')).toMatch(/insufficient_user_authentication.*max_age="?1/);
    const { body } = await ask(token, 'POST', '/account/step-up', { password });
    expect((await ask(String(body['accessToken']), 'POST', '/api/payments')).status).toBe(201);
  } finally {
    await impatient.stop();
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
  expect((await post('/login', own, { email, password: 'x'.repeat(30_000) })).status).toBe(413);
});

test('while Postern is away a logout fails, and the cookie stays', async () => {
  const cookie = withCookie(cookieOf(await login()));
  isPosternAway = true;
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
