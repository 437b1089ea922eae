import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { postAsPage, type Reply, sendRequest } from '../support/browser-request.ts';
import { scrape } from '../support/scrape.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const newPassword = 'a staple on each battery';
const session = '/console/session';
const listedOrigin = 'https://app.example.com';
const issuer = 'https://auth.example.com';

let service: TestService;
beforeAll(async () => {
  service = await startTestService({
    POSTERN_CONSOLE: 'on',
    POSTERN_HTTP_RPC: 'admin',
    POSTERN_ISSUER: issuer,
    POSTERN_CORS_ORIGINS: listedOrigin,
    POSTERN_TRUSTED_PROXIES: '127.0.0.1',
    POSTERN_PASSKEY_ORIGINS: 'https://login.example.com',
  });
  await service.addUser(email, password, ['admin']);
});
afterAll(() => service.stop());

const post = (path: string, body: object, headers?: Record<string, string | string[]>) =>
  postAsPage(`${service.httpUrl}${path}`, body, headers);
const setCookie = ({ headers }: Reply) => headers['set-cookie']?.[0] ?? '';
/** The cookie of a reply as a browser sends it back. */
const cookieOf = (reply: Reply) => setCookie(reply).split(';', 1)[0] ?? '';
const logIn = async (who = email) => {
  const reply = await post(session, { email: who, password });
  if (reply.status !== 200) throw new Error(reply.text);
  return { reply, cookie: cookieOf(reply), accessToken: String(reply.json['accessToken']) };
};
const DELETED = /^__Host-postern=; Max-Age=0; Path=\/; Secure; HttpOnly; SameSite=Strict$/;

describe('a page of the console', () => {
  test('C05 logs in, and its scripts never get the refresh token', async () => {
    const { reply, cookie } = await logIn();
    expect(setCookie(reply)).toMatch(
      /^__Host-postern=prt_[\w-]+; Max-Age=\d+; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
    );
    expect(reply.headers['set-cookie']).toHaveLength(1);
    expect(reply.text).not.toContain('refreshToken"');
    expect(reply.text).not.toContain(cookie.slice('__Host-postern='.length));
    expect(reply.json).toMatchObject({ tokenType: 'bearer', expiresIn: 600 });
    expect([reply.headers['cache-control'], reply.headers['content-type']]).toEqual([
      'no-store',
      'application/json',
    ]);
    expect(reply.headers['x-request-id']).toMatch(/^[\da-f-]{36}$/);
  });

  test('C05 renews by the cookie, and within the grace period two tabs get the same successor', async () => {
    const { cookie } = await logIn();
    const [one, other] = await Promise.all([
      post(`${session}/refresh`, {}, { cookie }),
      post(`${session}/refresh`, {}, { cookie: `theme=dark; ${cookie}; other="1"` }),
    ]);
    expect([one.status, other.status]).toEqual([200, 200]);
    expect(cookieOf(one)).toBe(cookieOf(other));
    expect(cookieOf(one)).not.toBe(cookie);
    const bearer = { authorization: `Bearer ${String(other.json['accessToken'])}` };
    expect((await post('/postern.v1.AdminService/ListUsers', {}, bearer)).status).toBe(200);
  });

  test('C06 without a cookie there is no session, and no refusal either', async () => {
    const reply = await post(`${session}/refresh`, {});
    expect([reply.status, reply.text, setCookie(reply)]).toEqual([200, '{}', '']);
    expect((await post(`${session}/end`, {})).status).toBe(200);
  });

  test('C06 of two cookies, such as one with Partitioned of another port, neither renews, and a logout ends both', async () => {
    const [own, other] = [await logIn(), await logIn()];
    const cookie = `${own.cookie}; ${other.cookie}`;
    const tooMany = await post(`${session}/end`, {}, { cookie: `${cookie}; __Host-postern=prt_x` });
    expect([tooMany.status, tooMany.reason, setCookie(tooMany)]).toEqual([400, 'FIELD_INVALID', '']);
    const renewed = await post(`${session}/refresh`, {}, { cookie });
    expect([renewed.status, renewed.text, setCookie(renewed)]).toEqual([200, '{}', '']);
    expect((await post(`${session}/end`, {}, { cookie })).status).toBe(200);
    for (const { accessToken } of [own, other]) {
      const verified = await post('/postern.v1.AuthService/VerifyToken', { accessToken });
      expect(verified.reason).toBe('TOKEN_REVOKED');
    }
  });

  test('C05 a compressed body is read as that of an RPC', async () => {
    const send = (coding: string, body: Buffer) =>
      sendRequest(`${service.httpUrl}${session}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'sec-fetch-site': 'same-origin',
          'content-encoding': coding,
        },
        body,
      });
    const body = Buffer.from(JSON.stringify({ email, password }));
    expect((await send('gzip', gzipSync(body))).status).toBe(200);
    expect((await send('gzip', body)).reason).toBe('FIELD_INVALID');
    expect((await send('gzip', gzipSync(Buffer.alloc(70_000, ' ')))).reason).toBe('MESSAGE_TOO_LARGE');
    expect((await send('br', body)).status).toBe(501);
  });

  test('C06 a session that has ended elsewhere takes its cookie along', async () => {
    const { cookie, accessToken } = await logIn();
    await post('/postern.v1.AuthService/RevokeToken', { token: accessToken });
    const reply = await post(`${session}/refresh`, {}, { cookie });
    expect([reply.status, reply.reason]).toEqual([401, 'REFRESH_TOKEN_REVOKED']);
    expect(setCookie(reply)).toMatch(DELETED);
    const invalid = await post(`${session}/refresh`, {}, { cookie: '__Host-postern=prt_nonsense' });
    expect([invalid.status, invalid.reason]).toEqual([401, 'REFRESH_TOKEN_INVALID']);
    expect(setCookie(invalid)).toMatch(DELETED);
  });

  test('C06 ends its session, whether it lives or not', async () => {
    const { cookie, accessToken } = await logIn();
    const ended = [1, 2].map(() => post(`${session}/end`, {}, { cookie }));
    for (const reply of await Promise.all(ended)) {
      expect([reply.status, reply.text]).toEqual([200, '{}']);
      expect(setCookie(reply)).toMatch(DELETED);
    }
    const verified = await post('/postern.v1.AuthService/VerifyToken', { accessToken });
    expect(verified.reason).toBe('TOKEN_REVOKED');
  });

  test('C05 a new password opens a new session in place of all others', async () => {
    await service.addUser('ben@example.com', password);
    const { cookie, accessToken } = await logIn('ben@example.com');
    const change = { currentPassword: password, newPassword };
    const anonymous = await post(session, change, { cookie });
    expect([anonymous.status, anonymous.reason]).toEqual([401, 'CREDENTIALS_MISSING']);
    expect(setCookie(anonymous)).toBe('');
    const changed = await post(session, change, { authorization: `Bearer ${accessToken}` });
    expect(changed.status).toBe(200);
    expect((await post(`${session}/refresh`, {}, { cookie })).reason).toBe('REFRESH_TOKEN_REVOKED');
    expect((await post(`${session}/refresh`, {}, { cookie: cookieOf(changed) })).status).toBe(200);
  });

  test.each<[string, object, string]>([
    ['neither', {}, 'FIELD_INVALID'],
    ['an unknown member', { email, password, admin: true }, 'FIELD_INVALID'],
    ['two requests at once', { email, password, newPassword: 'x' }, 'FIELD_INVALID'],
    ['a passkey and a password', { email, password, credentialJson: '{}' }, 'FIELD_INVALID'],
    ['a list', [email], 'FIELD_INVALID'],
    ['a wrong password', { email, password: 'wrong horse battery' }, 'INVALID_CREDENTIALS'],
    ['an unknown passkey', { challenge: 'x', credentialJson: '{}' }, 'FIELD_INVALID'],
  ])('C05 %s opens nothing', async (_what, body, reason) => {
    const reply = await post(session, body);
    expect(reply.reason).toBe(reason);
    expect([400, 401]).toContain(reply.status);
    expect(setCookie(reply)).toBe('');
  });
});

describe('a request that is not from a page of the console', () => {
  const routes = [session, `${session}/refresh`, `${session}/end`];
  const refusedFor = async (headers: Record<string, string>) => {
    const { cookie } = await logIn();
    const replies: Reply[] = [];
    for (const path of routes)
      replies.push(
        await sendRequest(`${service.httpUrl}${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', cookie, ...headers },
          body: JSON.stringify(path === session ? { email, password } : {}),
        }),
      );
    for (const reply of replies) expect([reply.status, setCookie(reply)]).toEqual([403, '']);
    expect(replies[0]?.headers['access-control-allow-origin']).toBeUndefined();
    // Nothing was ended.
    expect((await post(`${session}/refresh`, {}, { cookie })).json['accessToken']).toBeDefined();
  };

  test.each(['cross-site', 'same-site', 'none', '', 'same-origin, cross-site'])(
    'C07 sec-fetch-site: %s is refused, also with the origin of the console',
    async (site) => refusedFor({ 'sec-fetch-site': site, origin: service.httpUrl }),
  );

  test.each([
    ['no origin', {}],
    ['a page of another port of this host', { origin: 'http://127.0.0.1:1' }],
    ['a page of a listed origin', { origin: listedOrigin }],
    ['a page of an origin of passkeys', { origin: 'https://login.example.com' }],
    ['an opaque origin', { origin: 'null' }],
  ])('C07 without sec-fetch-site, %s is refused', async (_what, headers) => refusedFor(headers));

  test('C07 an old browser sends the origin of the console, or of the issuer behind a proxy', async () => {
    const send = (origin: string) =>
      sendRequest(`${service.httpUrl}${session}/refresh`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin },
        body: '{}',
      });
    expect((await send(service.httpUrl)).status).toBe(200);
    expect((await send(issuer)).status).toBe(200);
  });

  test('C07 forms, plain text and other methods are refused, and no preflight is answered', async () => {
    const page = { 'sec-fetch-site': 'same-origin' };
    for (const type of [
      'application/x-www-form-urlencoded',
      'text/plain',
      'multipart/form-data; boundary=x',
    ]) {
      const reply = await post(`${session}/end`, {}, { 'content-type': type });
      expect(reply.status).toBe(415);
    }
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
      const reply = await sendRequest(`${service.httpUrl}${session}`, { method, headers: page });
      expect([reply.status, reply.headers.allow]).toEqual([405, 'POST']);
    }
    const preflight = await sendRequest(`${service.httpUrl}${session}`, {
      method: 'OPTIONS',
      headers: { origin: listedOrigin, 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(405);
    expect(preflight.headers['access-control-allow-origin']).toBeUndefined();
  });

  test('C08 no RPC reads the cookie', async () => {
    const { cookie } = await logIn();
    for (const [path, reason] of [
      ['/postern.v1.AdminService/ListUsers', 'CREDENTIALS_MISSING'],
      ['/postern.v1.AuthService/ListApiKeys', 'CREDENTIALS_MISSING'],
      ['/postern.v1.AuthService/RefreshToken', 'REFRESH_TOKEN_INVALID'],
      ['/postern.v1.AuthService/VerifyToken', 'CREDENTIALS_MISSING'],
    ] as const) {
      const reply = await post(path, {}, { cookie });
      expect([path, reply.reason]).toEqual([path, reason]);
      expect(setCookie(reply)).toBe('');
    }
  });
});

describe('a host name that is not the listener’s', () => {
  const ofAttacker = { host: 'attacker.example:8080' };

  test('C04 gets neither pages nor RPCs nor a session, and is told the setting', async () => {
    const { cookie } = await logIn();
    for (const path of [session, `${session}/refresh`, '/postern.v1.AuthService/Login', '/postern.v1.X/Y']) {
      const reply = await post(path, { email, password }, { ...ofAttacker, cookie });
      expect([path, reply.status, reply.reason, setCookie(reply)]).toEqual([path, 421, 'FIELD_INVALID', '']);
      expect(reply.text).toContain('POSTERN_HTTP_HOSTS');
    }
    for (const path of ['/console', '/console/', '/console/x']) {
      const reply = await sendRequest(`${service.httpUrl}${path}`, { headers: ofAttacker });
      expect([path, reply.status]).toEqual([path, 421]);
      expect(reply.text).toBe(
        'attacker.example is not a host name of this listener; if it should be, add it to POSTERN_HTTP_HOSTS\n',
      );
    }
    const whole = await sendRequest(service.httpUrl, { target: 'http://attacker.example/console/' });
    expect(whole.status).toBe(421);
  });

  test('C04 still gets key set, health, metrics and the endpoints of OAuth', async () => {
    for (const path of ['/.well-known/jwks.json', '/livez', '/metrics'])
      expect((await sendRequest(`${service.httpUrl}${path}`, { headers: ofAttacker })).status).toBe(200);
  });

  test('C04 the hosts of the issuer and of passkey origins are the listener’s', async () => {
    for (const host of ['auth.example.com', 'login.example.com', 'localhost:1'])
      expect((await sendRequest(`${service.httpUrl}/console/`, { headers: { host } })).status).toBe(200);
    const host = new URL(listedOrigin).host;
    expect((await sendRequest(`${service.httpUrl}/console/`, { headers: { host } })).status).toBe(421);
  });
});

test('C09 a login of the console is counted, audited and attributed as one over gRPC', async () => {
  const from = { 'x-forwarded-for': '203.0.113.9', 'x-request-id': 'console-1', 'user-agent': 'Firefox' };
  await post(session, { email, password: 'wrong horse battery' }, from);
  const { cookie } = await logIn();
  await post(`${session}/refresh`, {}, { cookie, 'x-request-id': 'console-2' });
  await post(`${session}/end`, {}, { cookie, 'x-request-id': 'console-3' });
  const rows = await service.database.query(
    `SELECT action, outcome, reason, host(client_address) AS address FROM audit_events
     WHERE request_id LIKE 'console-_' ORDER BY request_id`,
  );
  expect(rows).toEqual([
    { action: 'login', outcome: 'refused', reason: 'INVALID_CREDENTIALS', address: '203.0.113.9' },
    { action: 'token.refresh', outcome: 'ok', reason: null, address: null },
    { action: 'token.revoke', outcome: 'ok', reason: null, address: null },
  ]);
  const metrics = await scrape(service.httpUrl);
  for (const method of ['Login', 'RefreshToken', 'RevokeToken'])
    expect(
      metrics.value('postern_rpc_calls_total', { method: `postern.v1.AuthService/${method}`, code: 'OK' }),
    ).toBeGreaterThan(0);
});

test('C09 a renewal without a session counts as no refresh', async () => {
  const outcomes = ['rotated', 'repeated', 'failed', 'malformed'];
  const counts = async () => {
    const metrics = await scrape(service.httpUrl);
    return outcomes.map((outcome) => metrics.value('postern_refreshes_total', { outcome }));
  };
  const before = await counts();
  expect((await post(`${session}/refresh`, {})).text).toBe('{}');
  expect(await counts()).toEqual(before);
});

test('C09 the throttle of an account is the one of gRPC', async () => {
  await service.addUser('eve@example.com', password);
  const wrong = { email: 'eve@example.com', password: 'wrong horse battery' };
  const seen: unknown[] = [];
  for (let attempt = 0; attempt < 12 && !seen.includes('LOGIN_RATE_LIMITED'); attempt++)
    seen.push((await post(session, wrong)).reason);
  expect(seen.at(-1)).toBe('LOGIN_RATE_LIMITED');
  const outcome = await service.call('postern.v1.AuthService/Login', { email: wrong.email, password });
  expect(outcome.reason).toBe('LOGIN_RATE_LIMITED');
  const limited = await post(session, { email: wrong.email, password });
  expect([limited.status, limited.reason]).toEqual([429, 'LOGIN_RATE_LIMITED']);
  expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0);
});
