import { request as httpRequest } from 'node:http';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { LoginRequest, TokenSet } from '../../src/generated/postern/v1/auth.ts';
import { Status } from '../../src/generated/google/rpc/status.ts';
import { callOverHttp } from '../support/call-over-http.ts';
import { scrape } from '../support/scrape.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const auth = '/postern.v1.AuthService';
const admin = '/postern.v1.AdminService';
const origin = 'https://app.example.com';

let service: TestService;
let adminToken: string;
beforeAll(async () => {
  service = await startTestService({
    POSTERN_HTTP_RPC: 'admin',
    POSTERN_CORS_ORIGINS: `${origin},http://localhost:5173`,
    POSTERN_TRUSTED_PROXIES: '127.0.0.1,192.0.2.0/24',
  });
  await service.addUser(email, password, ['reader']);
  await service.addUser('root@example.com', password, ['admin']);
  adminToken = await service.tokenOf('root@example.com', password);
});
afterAll(() => service.stop());

const url = (path: string) => `${service.httpUrl}${path}`;
const call = (path: string, body: Parameters<typeof callOverHttp>[1], headers?: Record<string, string>) =>
  callOverHttp(url(path), body, headers);
const send = (path: string, init: RequestInit) => fetch(url(path), init);

describe('a program without gRPC', () => {
  test('H01 logs in, verifies, refreshes and logs out with JSON', async () => {
    const login = await call(`${auth}/Login`, { email, password });
    expect([login.status, login.headers.get('content-type'), login.headers.get('cache-control')]).toEqual([
      200,
      'application/json',
      'no-store',
    ]);
    expect(login.headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/);
    expect(login.headers.get('set-cookie')).toBeNull();
    const { accessToken, refreshToken } = login.json as { accessToken: string; refreshToken: string };
    const bearer = { authorization: `Bearer ${accessToken}` };
    const verified = await call(`${auth}/VerifyToken`, {}, bearer);
    expect(verified.json).toMatchObject({ roles: ['reader'], subjectType: 'USER' });
    // The second answer comes from the cache.
    expect((await call(`${auth}/VerifyToken`, { access_token: accessToken })).json).toEqual(verified.json);
    // A level that the session lacks, and one that it has, over the same cache (M40).
    const second = await call(`${auth}/VerifyToken`, { minAcr: 'aal2', maxAuthAge: 300 }, bearer);
    expect([second.status, second.reason]).toEqual([401, 'STEP_UP_REQUIRED']);
    expect(JSON.stringify(second.json)).toContain('"metadata":{"acr_values":"aal2","max_age":"300"}');
    const first = await call(`${auth}/VerifyToken`, { minAcr: 'aal1', maxAuthAge: 300 }, bearer);
    expect([first.status, first.json]).toEqual([200, verified.json]);
    const refreshed = await call(`${auth}/RefreshToken`, { refreshToken });
    expect(refreshed.status).toBe(200);
    const loggedOut = await call(`${auth}/RevokeToken`, { token: refreshed.json['refreshToken'] });
    expect([loggedOut.status, loggedOut.json]).toEqual([200, {}]);
    const revoked = await call(`${auth}/VerifyToken`, {}, bearer);
    expect([revoked.status, revoked.code, revoked.reason]).toEqual([401, 'unauthenticated', 'TOKEN_REVOKED']);
  });

  test('H01 administers, by the rules and with the audit trail of gRPC', async () => {
    const bearer = { authorization: `Bearer ${adminToken}` };
    const request = { email: 'ben@example.com', password, roles: ['writer'] };
    const created = await call(`${admin}/CreateUser`, request, { ...bearer, 'x-request-id': 'http-1' });
    expect(created.json).toMatchObject({ email: 'ben@example.com', roles: ['writer'] });
    expect(created.headers.get('x-request-id')).toBe('http-1');
    const taken = await call(`${admin}/CreateUser`, request, { ...bearer, 'x-request-id': 'http-2' });
    expect([taken.status, taken.code, taken.reason]).toEqual([409, 'already_exists', 'EMAIL_TAKEN']);
    const anonymous = await call(`${admin}/CreateUser`, request, { 'x-request-id': 'http-3' });
    expect([anonymous.status, anonymous.reason]).toEqual([401, 'CREDENTIALS_MISSING']);
    const user = await service.tokenOf(email, password);
    const forbidden = await call(`${admin}/ListUsers`, {}, { authorization: `Bearer ${user}` });
    expect([forbidden.status, forbidden.reason]).toEqual([403, 'ADMIN_REQUIRED']);
    const rows = await service.database.query(
      "SELECT outcome, reason FROM audit_events WHERE request_id LIKE 'http-_' ORDER BY request_id",
    );
    expect(rows).toEqual([
      { outcome: 'ok', reason: null },
      { outcome: 'refused', reason: 'EMAIL_TAKEN' },
      { outcome: 'refused', reason: 'CREDENTIALS_MISSING' },
    ]);
    const metrics = await scrape(service.httpUrl);
    const labels = { method: 'postern.v1.AdminService/CreateUser', code: 'ALREADY_EXISTS' };
    expect(metrics.value('postern_rpc_calls_total', labels)).toBe(1);
    expect(service.logLines.join('')).toContain('"request_id":"http-2"');
  });

  test('N11 two authorization headers are refused, even if one is empty', async () => {
    const ask = (authorization: string[]) =>
      new Promise<string>((resolve, reject) => {
        const headers = { 'content-type': 'application/json' };
        const asked = httpRequest(url(`${admin}/ListUsers`), { method: 'POST', headers }, (response) => {
          response.setEncoding('utf8').on('data', (text: string) => resolve(text));
        });
        asked.setHeader('authorization', authorization).on('error', reject).end('{}');
      });
    const bearer = `Bearer ${adminToken}`;
    expect(await ask([bearer])).toContain('root@example.com');
    for (const repeated of [
      [bearer, bearer],
      ['', bearer],
      [bearer, ''],
    ])
      expect(await ask(repeated)).toContain('"TOKEN_MALFORMED"');
  });

  test('H01 a stream is served over gRPC only, and says so', async () => {
    const refused = await call(`${admin}/ImportUsers`, {});
    expect([refused.status, refused.code]).toEqual([501, 'unimplemented']);
    const headers = { 'content-type': 'application/connect+json' };
    const stream = await send(`${admin}/ImportUsers`, { method: 'POST', headers, body: '' });
    const bytes = Buffer.from(await stream.arrayBuffer());
    expect([stream.status, bytes[0], bytes.readUInt32BE(1)]).toEqual([200, 2, bytes.length - 5]);
    expect(JSON.parse(bytes.subarray(5).toString())).toMatchObject({ error: { code: 'unimplemented' } });
    for (const path of ['/postern.v1.TrustService/WatchTrust', `${auth}/Nothing`])
      expect([(await call(path, {})).status, (await call(path, {})).code]).toEqual([404, 'unimplemented']);
  });
});

describe('the forms on the wire', () => {
  const message = Buffer.from(
    LoginRequest.encode({
      email,
      password,
      audience: '',
      client: undefined,
      code: '',
      passkey: undefined,
    }).finish(),
  );
  const frame = (flags: number, content: Uint8Array) => {
    const prefix = Buffer.alloc(5);
    prefix[0] = flags;
    prefix.writeUInt32BE(content.length, 1);
    return Buffer.concat([prefix, content]);
  };
  const framesOf = (bytes: Buffer) => {
    const frames: [flags: number, content: Buffer][] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 5 + bytes.readUInt32BE(at + 1);
      frames.push([bytes[at] ?? 0, bytes.subarray(at + 5, end)]);
      at = end;
    }
    return frames;
  };
  const post = async (type: string, body: Buffer, headers: Record<string, string> = {}) => {
    const init = {
      method: 'POST',
      headers: { 'content-type': type, ...headers },
      body: Uint8Array.from(body),
    };
    const response = await send(`${auth}/Login`, init);
    return { response, bytes: Buffer.from(await response.arrayBuffer()) };
  };

  test('H01 Connect with binary messages, with and without gzip', async () => {
    for (const [body, headers] of [
      [message, {}],
      [gzipSync(message), { 'content-encoding': 'gzip' }],
    ] as const) {
      const { response, bytes } = await post('application/proto', body, headers);
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/proto']);
      expect(TokenSet.decode(bytes).tokenType).toBe('bearer');
    }
  });

  test('H01 gRPC-Web with binary and JSON messages, and the details of a refusal', async () => {
    const json = Buffer.from(JSON.stringify({ email, password }));
    for (const [type, body, headers] of [
      ['application/grpc-web', frame(0, message), {}],
      ['application/grpc-web+proto', frame(1, gzipSync(message)), { 'grpc-encoding': 'gzip' }],
      ['application/grpc-web+json', frame(0, json), {}],
    ] as const) {
      const { response, bytes } = await post(type, body, headers);
      expect(response.headers.get('content-type')).toBe(type);
      const [answer, trailers] = framesOf(bytes);
      expect([answer?.[0], trailers?.[0], String(trailers?.[1])]).toEqual([0, 0x80, 'grpc-status: 0\r\n']);
    }
    const wrong = {
      email,
      password: 'not this one',
      audience: '',
      client: undefined,
      code: '',
      passkey: undefined,
    };
    const body = frame(0, LoginRequest.encode(wrong).finish());
    const { response, bytes } = await post('application/grpc-web+proto', body);
    expect(response.status).toBe(200);
    const [[flags, trailers] = [0, Buffer.alloc(0)]] = framesOf(bytes);
    const [, details = ''] = /grpc-status-details-bin: (.*)\r\n/.exec(String(trailers)) ?? [];
    expect([flags, /grpc-status: (\d+)/.exec(String(trailers))?.[1]]).toEqual([0x80, '16']);
    expect(Status.decode(Buffer.from(details, 'base64')).details).toHaveLength(1);
  });

  test('H01 GET for a method without secrets, and for no other', async () => {
    const query = 'connect=v1&encoding=json&message=%7B%7D';
    const jwks = await send(`${auth}/GetJwks?${query}`, {});
    expect([jwks.status, Object.keys((await jwks.json()) as object)]).toEqual([200, ['jwks', 'maxAge']]);
    const login = await send(`${auth}/VerifyToken?${query}`, {});
    expect([login.status, login.headers.get('allow')]).toEqual([405, 'POST']);
    const both = await send(`${auth}/GetJwks`, { method: 'DELETE' });
    expect([both.status, both.headers.get('allow')]).toEqual([405, 'GET, POST']);
  });

  test('H01 a retry time is in the details and in retry-after', async () => {
    let refused = await call(`${auth}/Login`, { email: 'nobody@example.com', password });
    for (let tries = 0; refused.status === 401 && tries < 30; tries++)
      refused = await call(`${auth}/Login`, { email: 'nobody@example.com', password });
    expect([refused.status, refused.reason]).toEqual([429, 'LOGIN_RATE_LIMITED']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(JSON.stringify(refused.json)).toContain('retryDelay');
  });

  test('H01 a deadline of the caller ends the call', async () => {
    const late = await call(`${auth}/Login`, { email, password }, { 'connect-timeout-ms': '0' });
    expect([late.status, late.code]).toEqual([504, 'deadline_exceeded']);
  });
});

describe('a page of another origin', () => {
  const preflight = (from: string, path = `${auth}/Login`) =>
    send(path, {
      method: 'OPTIONS',
      headers: { origin: from, 'access-control-request-method': 'POST' },
    });

  test('H04 may call from a listed origin, without credentials', async () => {
    const allowed = await preflight(origin);
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([204, origin]);
    expect(allowed.headers.get('access-control-allow-credentials')).toBeNull();
    const answer = await call(`${auth}/VerifyToken`, {}, { origin });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
    expect(answer.headers.get('access-control-expose-headers')).toContain('x-request-id');
    expect(answer.headers.get('vary')).toBe('origin');
  });

  test.each(['https://app.example.com.evil.example', 'http://app.example.com', 'null', `${origin}/`])(
    'H04 may not from %s',
    async (from) => {
      const refused = await preflight(from);
      expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([405, null]);
      const answer = await call(`${auth}/VerifyToken`, {}, { origin: from });
      expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    },
  );
});

describe('behind a trusted proxy', () => {
  const addressOf = async (requestId: string) => {
    const rows = await service.database.query(
      'SELECT host(client_address) AS address FROM audit_events WHERE request_id = $1',
      [requestId],
    );
    return (rows as { address: string | null }[])[0]?.address;
  };

  test('H08 the address is the last in x-forwarded-for that is no trusted proxy, over HTTP and gRPC', async () => {
    const forwarded = '203.0.113.66, 203.0.113.7, 192.0.2.9';
    await call(
      `${auth}/Login`,
      { email, password },
      { 'x-forwarded-for': forwarded, 'x-request-id': 'xff-1' },
    );
    await service.call(
      'postern.v1.AuthService/Login',
      { email, password },
      { 'x-forwarded-for': forwarded, 'x-request-id': 'xff-2' },
    );
    expect([await addressOf('xff-1'), await addressOf('xff-2')]).toEqual(['203.0.113.7', '203.0.113.7']);
  });

  test('H08 a browser cannot name its own address; over gRPC the proxy can, before the header', async () => {
    const request = { email, password, client: { address: '198.51.100.1', user_agent: 'chosen' } };
    const forwarded = { 'x-forwarded-for': '203.0.113.7' };
    await call(`${auth}/Login`, request, { ...forwarded, 'x-request-id': 'xff-3' });
    await service.call('postern.v1.AuthService/Login', request, { ...forwarded, 'x-request-id': 'xff-4' });
    expect([await addressOf('xff-3'), await addressOf('xff-4')]).toEqual(['203.0.113.7', '198.51.100.1']);
  });

  test('H08 a service account can, over HTTP too', async () => {
    const bearer = { authorization: `Bearer ${adminToken}` };
    const { json } = await call(`${admin}/CreateServiceAccount`, { name: 'gateway' }, bearer);
    const { clientId, clientSecret } = json as { clientId: string; clientSecret: string };
    const token = await call(`${auth}/IssueServiceToken`, {
      clientId,
      clientSecret,
    });
    await call(
      `${auth}/Login`,
      { email, password, client: { address: '198.51.100.1' } },
      { authorization: `Bearer ${String(token.json['accessToken'])}`, 'x-request-id': 'xff-5' },
    );
    expect(await addressOf('xff-5')).toBe('198.51.100.1');
  });
});

describe('bad input', () => {
  const nested = (depth: number) => `${'{"client":'.repeat(depth)}null${'}'.repeat(depth)}`;
  test.each<
    [name: string, body: string | Buffer, headers: Record<string, string>, status: number, reason?: string]
  >([
    ['an unknown member', '{"emial":"a"}', {}, 400],
    ['a doubled member', '{"resetToken":"a","resetToken":"b"}', {}, 400],
    ['a member in both spellings', '{"resetToken":"a","reset_token":"b"}', {}, 400],
    ['a member doubled by an escape', '{"resetToken":"a","\\u0072esetToken":"b"}', {}, 400],
    ['a lone surrogate', '{"resetToken":"a","newPassword":"\\ud800"}', {}, 400],
    ['a value of another type', '{"resetToken":7}', {}, 400],
    ['no JSON', 'email=a', {}, 400],
    ['nothing', '', {}, 400],
    ['an array', '[]', {}, 400],
    ['null', 'null', {}, 400],
    ['deep objects', nested(2_000), {}, 400],
    ['deep arrays', `${'['.repeat(30_000)}${']'.repeat(30_000)}`, {}, 400],
    ['__proto__', '{"__proto__":{"resetToken":"a"}}', {}, 400],
    ['invalid UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), {}, 400],
    ['a byte order mark', Buffer.from('\ufeff{}'), {}, 400],
    ['a form', 'email=a', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['plain text', '{}', { 'content-type': 'text/plain' }, 415],
    ['another charset', '{}', { 'content-type': 'application/json; charset=utf-16' }, 415],
    ['gRPC-Web text', '{}', { 'content-type': 'application/grpc-web-text' }, 415],
    ['gRPC', '{}', { 'content-type': 'application/grpc' }, 415],
    ['binary that is none', Buffer.from([0xff, 0xff]), { 'content-type': 'application/proto' }, 400],
    ['invalid UTF-8 in binary', Buffer.from([0x0a, 1, 0xff]), { 'content-type': 'application/proto' }, 400],
    ['a message that is too large', `"${'a'.repeat(70_000)}"`, {}, 429, 'MESSAGE_TOO_LARGE'],
    ['a bomb', gzipSync('a'.repeat(9e6)), { 'content-encoding': 'gzip' }, 429, 'MESSAGE_TOO_LARGE'],
    ['what is not gzip', '{}', { 'content-encoding': 'gzip' }, 400],
    ['half of gzip', gzipSync('{}').subarray(0, 12), { 'content-encoding': 'gzip' }, 400],
    ['a timeout that is none', '{}', { 'connect-timeout-ms': '1e3' }, 400],
    ['a long timeout', '{}', { 'connect-timeout-ms': '12345678901' }, 400],
    ['another version', '{}', { 'connect-protocol-version': '2' }, 400],
  ])('H02 %s is refused with a reason', async (_name, body, headers, status, reason = 'FIELD_INVALID') => {
    const bytes = typeof body === 'string' ? body : Uint8Array.from(body);
    const refused = await call(`${auth}/ResetPassword`, bytes, headers);
    expect(refused.status).toBe(status);
    if (status === 415) expect(refused.shape).toContain('FIELD_INVALID: content-type: send one of');
    else expect(refused.reason).toBe(reason);
  });

  test('L02 a wrong password and an unknown user get the same answer, to the byte', async () => {
    const wrong = await call(`${auth}/Login`, { email, password: 'a wrong password' });
    const unknown = await call(`${auth}/Login`, { email: 'no@example.com', password });
    expect([wrong.status, wrong.reason]).toEqual([401, 'INVALID_CREDENTIALS']);
    expect(unknown.shape).toBe(wrong.shape);
  });

  test('H02 another compression is not implemented, as the protocols say', async () => {
    const refused = await call(`${auth}/Login`, '{}', { 'content-encoding': 'br' });
    expect([refused.status, refused.code]).toEqual([501, 'unimplemented']);
  });

  test('H02 no refusal repeats the value of a field', async () => {
    const { json } = await call(`${auth}/Login`, '{"email":"a@example.com","password":["Tr0ub4dor"]}');
    expect(JSON.stringify(json)).toContain('password');
    expect(JSON.stringify(json)).not.toContain('Tr0ub4dor');
  });

  test('H02 nothing of it was a fault of Postern', () => {
    expect(service.logLines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });
});
