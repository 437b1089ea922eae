import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { type Message, startTestService, type TestService } from '../../support/test-service.ts';
import { type Checked, checkedBy, type HttpAttributes } from './check.ts';

const password = 'correct horse battery';
const secret = 'b9b1a1e0d6c84f3b9c5a2f7e8d41c6035f7a9e2b1c8d4f60a3e5b7d9f1c2e4a6';
const identityHeaders = [
  'x-postern-subject',
  'x-postern-session',
  'x-postern-roles',
  'x-postern-acr',
  'x-postern-auth-time',
];
let service: TestService;
let check: (http: HttpAttributes, extensions?: Record<string, string>) => Promise<Checked>;
let userId: string;
let token: string;

/** With a shared secret the test can sign tokens that the service would not issue. */
const signed = (claims: object, options: jwt.SignOptions = {}) =>
  jwt.sign(claims, secret, {
    issuer: 'http://127.0.0.1:8080',
    audience: 'postern',
    subject: 'someone',
    expiresIn: 600,
    ...options,
  });
const withToken = (text: string) => ({ headers: { authorization: `Bearer ${text}` } });
const raw = (key: string, value: string | Buffer) => ({ key, raw_value: Buffer.from(value) });
const spoofed = { 'x-postern-subject': 'root', 'X-Postern-Roles': 'admin', x_postern_session: '1' };

beforeAll(async () => {
  service = await startTestService({
    POSTERN_ALGORITHM: 'HS256',
    POSTERN_SECRET: secret,
    POSTERN_AUDIENCE: 'postern,billing',
  });
  check = (http, extensions) => checkedBy(service, http, extensions);
  userId = await service.addUser('ann@example.com', password, ['editor', 'reader']);
  token = await service.tokenOf('ann@example.com', password);
});
afterAll(() => service.stop());

describe('a valid token', () => {
  test('is allowed with the identity in headers that overwrite', async () => {
    const { allowed, set, options } = await check(withToken(token));
    expect(allowed).toBe(true);
    expect(set).toEqual({
      'x-postern-subject': userId,
      'x-postern-session': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'x-postern-roles': 'editor,reader',
      'x-postern-acr': 'aal1',
      'x-postern-auth-time': expect.stringMatching(/^\d{10}$/),
    });
    expect(options.length).toBe(5);
    for (const option of options) {
      // Both fields are sent: an Envoy that knows only one of them overwrites, too.
      expect(option).toMatchObject({
        append: { value: false },
        append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
      });
    }
  });

  test('E02 the client’s own identity headers are overwritten or removed, in any case and spelling', async () => {
    const withSession = await check({
      headers: { ...withToken(token).headers, ...spoofed, 'x-postern-x': '1' },
    });
    expect(withSession.allowed).toBe(true);
    expect(Object.keys(withSession.set).sort()).toEqual([...identityHeaders].sort());
    expect(withSession.removed.sort()).toEqual([
      'x-postern-actor',
      'x-postern-external-id',
      'x-postern-subject-name',
      'x-postern-x',
      'x_postern_session',
    ]);

    const bare = signed({});
    const without = await check({ headers: { ...withToken(bare).headers, ...spoofed } });
    expect(without.set).toEqual({ 'x-postern-subject': 'someone' });
    expect(without.removed).toEqual(expect.arrayContaining(['x-postern-roles', 'x-postern-session']));
    expect(without.removed).not.toContain('x-postern-subject');
    expect((await check(withToken(bare))).removed.sort()).toEqual([
      'x-postern-acr',
      'x-postern-actor',
      'x-postern-auth-time',
      'x-postern-external-id',
      'x-postern-roles',
      'x-postern-session',
      'x-postern-subject-name',
    ]);
  });

  test('passes the identity to later filters as metadata', async () => {
    const expiresAt = Math.floor(Date.now() / 1000) + 600;
    const { metadata } = await check(withToken(token));
    expect(metadata).toMatchObject({
      subject: userId,
      subject_type: 'user',
      session_id: expect.any(String),
      token_id: expect.any(String),
      roles: ['editor', 'reader'],
      audience: ['postern'],
    });
    expect(Math.abs(Number(metadata?.['expires_at']) - expiresAt)).toBeLessThan(60);
  });

  test('is read from headers or header_map, with the scheme in any case', async () => {
    for (const http of [
      { headers: { Authorization: `bearer ${token}` } },
      { header_map: { headers: [raw('authorization', `BEARER ${token}`)] } },
      { header_map: { headers: [{ key: 'AUTHORIZATION', value: `Bearer ${token}` }] } },
    ]) {
      expect((await check(http)).set['x-postern-subject']).toBe(userId);
    }
    const { removed } = await check({
      header_map: { headers: [raw('authorization', `Bearer ${token}`), raw('X_Postern_Roles', 'admin')] },
    });
    expect(removed.sort()).toEqual([
      'x-postern-actor',
      'x-postern-external-id',
      'x-postern-subject-name',
      'x_postern_roles',
    ]);
  });

  test('E02 names the service account and who acts for the subject, and nothing that the client sent under these names', async () => {
    const own = { 'x-postern-subject-name': 'root', 'X-Postern-Actor': 'root', x_postern_actor: 'root' };
    const ofService = signed({ client_id: 'someone', jti: '1', name: 'billing', roles: [] });
    const named = await check({ headers: { ...withToken(ofService).headers, ...own } });
    expect(named.set).toEqual({ 'x-postern-subject': 'someone', 'x-postern-subject-name': 'billing' });
    expect(named.removed).toEqual(expect.arrayContaining(['x-postern-actor', 'x_postern_actor']));
    expect(named.metadata).toMatchObject({ subject_name: 'billing' });
    expect(named.metadata).not.toHaveProperty('actors');

    const delegated = signed({
      sid: 's-1',
      client_id: 'id-of-orders',
      act: { sub: 'id-of-orders', name: 'orders,root', act: { sub: 'id-of-web' } },
    });
    const acted = await check({ headers: { ...withToken(delegated).headers, ...own } });
    expect(acted.set).toEqual({
      'x-postern-subject': 'someone',
      'x-postern-session': 's-1',
      'x-postern-actor': 'orders%2Croot,id-of-web',
    });
    expect(acted.removed).toEqual(expect.arrayContaining(['x-postern-subject-name', 'x_postern_actor']));
    expect(acted.metadata).toMatchObject({
      actors: [{ subject: 'id-of-orders', name: 'orders,root' }, { subject: 'id-of-web' }],
    });
  });

  test('a user of a program that shares the secret cannot choose the name of a service account', async () => {
    for (const claims of [{ name: 'billing' }, { name: 'billing', sid: 's-1', client_id: 'app' }]) {
      const { set, metadata } = await check(withToken(signed(claims)));
      expect(set).not.toHaveProperty('x-postern-subject-name');
      expect(metadata).not.toHaveProperty('subject_name');
    }
  });

  test('is refused as soon as it is revoked', async () => {
    const own = await service.tokenOf('ann@example.com', password);
    expect((await check(withToken(own))).allowed).toBe(true);
    await service.call('postern.v1.AuthService/RevokeToken', { token: own });
    const { http, body } = await check(withToken(own));
    expect([http, body.reason]).toEqual([401, 'TOKEN_REVOKED']);
  });

  test('stays on the request unless the route strips it', async () => {
    expect((await check(withToken(token))).removed).not.toContain('authorization');
    expect((await check(withToken(token), { strip_token: 'true' })).removed).toContain('authorization');
    expect((await check(withToken(token), { strip_token: 'false' })).removed).not.toContain('authorization');
  });
});

const join = (...values: string[]) => values.join(',');

describe('E03 refused with 401', () => {
  test.each<[string, string, () => HttpAttributes]>([
    ['no token', 'CREDENTIALS_MISSING', () => ({ headers: {} })],
    ['an empty header', 'CREDENTIALS_MISSING', () => ({ headers: { authorization: '' } })],
    ['another scheme', 'CREDENTIALS_MISSING', () => ({ headers: { authorization: `Basic ${token}` } })],
    ['no scheme', 'CREDENTIALS_MISSING', () => ({ headers: { authorization: token } })],
    ['two spaces', 'TOKEN_MALFORMED', () => ({ headers: { authorization: `Bearer  ${token}` } })],
    ['a tab', 'TOKEN_MALFORMED', () => ({ headers: { authorization: `Bearer\t${token}` } })],
    ['a trailing space', 'TOKEN_MALFORMED', () => ({ headers: { authorization: `Bearer ${token} ` } })],
    ['a line break', 'TOKEN_MALFORMED', () => ({ headers: { authorization: `Bearer ${token}\n` } })],
    ['junk', 'TOKEN_MALFORMED', () => withToken('junk')],
    ['an oversized token', 'TOKEN_TOO_LARGE', () => withToken('a'.repeat(9000))],
    ['an expired token', 'TOKEN_EXPIRED', () => withToken(signed({}, { expiresIn: -60 }))],
    ['a foreign signature', 'TOKEN_SIGNATURE_INVALID', () => withToken(`${signed({}).slice(0, -3)}AAA`)],
    ['a foreign audience', 'TOKEN_CLAIMS_INVALID', () => withToken(signed({}, { audience: 'other' }))],
    ['two joined tokens', 'TOKEN_MALFORMED', () => ({ headers: { authorization: join(`Bearer ${token}`, `Bearer ${token}`) } })],
    ['two names', 'TOKEN_MALFORMED', () => ({ headers: { authorization: `Bearer ${token}`, Authorization: `Bearer ${token}` } })],
    ['two in header_map', 'TOKEN_MALFORMED', () => ({ header_map: { headers: [raw('authorization', `Bearer ${token}`), raw('Authorization', `Bearer ${token}`)] } })],
    ['one in each place', 'TOKEN_MALFORMED', () => ({ ...withToken(token), header_map: { headers: [raw('authorization', `Bearer ${token}`)] } })],
    ['both forms of one value', 'TOKEN_MALFORMED', () => ({ header_map: { headers: [{ ...raw('authorization', `Bearer ${token}`), value: 'Bearer a' }] } })],
    ['bytes that are not UTF-8', 'TOKEN_MALFORMED', () => ({ header_map: { headers: [raw('authorization', Buffer.from('42656172657220c328', 'hex'))] } })],
  ])('%s', async (_name, reason, http) => {
    const { allowed, http: code, body, headers } = await check(http());
    expect([allowed, code, body.reason]).toEqual([false, 401, reason]);
    expect(headers['content-type']).toBe('application/json');
    expect(headers['cache-control']).toBe('no-store');
    const challenge = headers['www-authenticate'] ?? '';
    // RFC 6750 section 3.1: no error code for a request without a token.
    if (reason === 'CREDENTIALS_MISSING') expect(challenge).toBe('Bearer realm="postern"');
    else expect(challenge).toMatch(/^Bearer realm="postern", error="invalid_token", error_description="[^"\\]+"$/);
  }); // prettier-ignore
});

describe('a route’s policy', () => {
  const act = (name: string, before?: object) => ({
    act: { sub: 's-1', name, ...(before && { act: before }) },
  });
  test.each<[string, object, boolean]>([
    ['the service that acts is listed', act('support'), true],
    ['it acts after another one', act('orders', { sub: 's-2', name: 'gate' }), true],
    ['only the service before it is listed', act('gate', { sub: 's-2', name: 'support' }), false],
    ['another service acts', act('billing'), false],
    ['the service has no name', { act: { sub: 'support' } }, false],
    ['nobody acts', {}, false],
  ])('G11 actors_any: %s', async (_name, claims, expected) => {
    const { allowed, http, body } = await check(withToken(signed(claims)), { actors_any: 'support, orders' });
    expect([allowed, http, body.reason]).toEqual(
      expected ? [true, undefined, undefined] : [false, 403, 'ACTOR_NOT_ALLOWED'],
    );
  });

  test('G11 without actors_any a token with an actor counts as its subject', async () => {
    expect((await check(withToken(signed(act('anybody'))))).allowed).toBe(true);
    expect((await check(withToken(signed({})), { actors_any: 'a', mode: 'optional' })).http).toBe(503);
  });

  test.each<[string, Record<string, string>, object, boolean]>([
    ['any role, one held', { roles_any: 'admin, editor' }, { roles: ['editor'] }, true],
    ['any role, none held', { roles_any: 'admin,owner' }, { roles: ['editor'] }, false],
    ['all roles, all held', { roles_all: 'reader,editor' }, { roles: ['editor', 'reader'] }, true],
    ['all roles, one held', { roles_all: 'reader,editor' }, { roles: ['editor'] }, false],
    ['both lists, one met', { roles_any: 'a,b', roles_all: 'c' }, { roles: ['a'] }, false],
    ['both lists, both met', { roles_any: 'a,b', roles_all: 'c' }, { roles: ['b', 'c'] }, true],
    ['a role with a comma is one role', { roles_any: 'admin' }, { roles: ['x,admin'] }, false],
    ['a role with a space is another role', { roles_any: 'admin' }, { roles: [' admin', 'admin '] }, false],
    ['a role in other letters is another role', { roles_any: 'admin' }, { roles: ['Admin'] }, false],
    ['a role as the header shows it', { roles_any: 'power%20user' }, { roles: ['power user'] }, true],
    ['no roles at all', { roles_all: 'reader' }, {}, false],
  ])('%s', async (_name, extensions, claims, expected) => {
    const { allowed, http, body, headers } = await check(withToken(signed(claims)), extensions);
    expect(allowed).toBe(expected);
    if (expected) return;
    expect([http, body.reason]).toEqual([403, 'ROLE_MISSING']);
    expect(headers['www-authenticate']).toMatch(
      /^Bearer realm="postern", error="insufficient_scope", scope="[^"]+"$/,
    );
  });

  test('roles are checked for valid tokens only: an invalid one gets its own refusal', async () => {
    expect((await check(withToken('junk'), { roles_any: 'admin' })).http).toBe(401);
    expect((await check({ headers: {} }, { roles_any: 'admin' })).http).toBe(401);
  });

  test('the token must contain the required audience', async () => {
    const both = signed({}, { audience: ['postern', 'billing'] });
    expect((await check(withToken(both), { audience: 'billing' })).allowed).toBe(true);
    const { http, body } = await check(withToken(signed({})), { audience: 'billing' });
    expect([http, body.reason]).toEqual([401, 'TOKEN_CLAIMS_INVALID']);
  });

  test('optional mode passes requests without a token and without an identity, but no invalid token', async () => {
    const optional = { mode: 'optional' };
    const anonymous = await check({ headers: spoofed }, optional);
    expect(anonymous).toMatchObject({ allowed: true, set: {}, metadata: undefined });
    expect(anonymous.removed).toEqual(expect.arrayContaining([...identityHeaders, 'x_postern_session']));
    expect((await check(withToken(token), optional)).set['x-postern-subject']).toBe(userId);
    for (const authorization of [
      'Bearer junk',
      'Basic YTpi',
      '',
      'Bearer',
      `Bearer ${token},Bearer ${token}`,
    ]) {
      expect((await check({ headers: { authorization } }, optional)).http).toBe(401);
    }
  });

  test.each<Record<string, string>>([
    { required_role: 'admin' },
    { roles_all: '' },
    { roles_all: 'admin,' },
    { roles_any: 'power user' },
    { roles_any: '100%' },
    { roles_any: '"admin"' },
    { mode: 'Optional' },
    { mode: 'optional', roles_any: 'admin' },
    { strip_token: 'yes' },
    { min_acr: 'aal3' },
    { min_acr: '' },
    { min_acr: 'aal1,aal2' },
    { max_auth_age: '0' },
    { max_auth_age: '5m' },
    { max_auth_age: '' },
    { max_auth_age: '4294967296' },
    { mode: 'optional', min_acr: 'aal1' },
    { mode: 'optional', max_auth_age: '300' },
    { acr: 'aal2' },
    { audience: 'elsewhere' },
    { audience: '' },
    { constructor: 'x' },
  ])('E01 %j is refused even with a valid token, and the log says why', async (extensions) => {
    const lines = service.logLines.length;
    const { http, body, headers } = await check(withToken(token), extensions);
    expect([http, body.reason]).toEqual([503, 'ROUTE_MISCONFIGURED']);
    expect(headers['retry-after']).toBe('1');
    const logged = service.logLines.slice(lines).filter((line) => line.includes('Authorization/Check'));
    expect(logged).toHaveLength(1);
    expect(JSON.parse(logged[0] ?? '')).toMatchObject({
      level: 'error',
      reason: 'ROUTE_MISCONFIGURED',
      cause: { message: expect.stringContaining('context_extensions') },
    });
  });
});

describe('M42 a route that requires a level', () => {
  const nowSeconds = () => Math.floor(Date.now() / 1000);
  const route = { min_acr: 'aal2', max_auth_age: '300' };
  const challenge = 'Bearer realm="postern", error="insufficient_user_authentication"';

  test('lets a token of the level through, with the level in headers that the client cannot set', async () => {
    const authenticatedAt = nowSeconds() - 200;
    const second = signed({ acr: 'aal2', amr: ['pwd', 'otp'], auth_time: authenticatedAt });
    const own = { 'x-postern-acr': 'aal2', 'X-Postern-Auth-Time': '1', x_postern_acr: 'aal2' };
    const { allowed, set, metadata } = await check(
      { headers: { ...withToken(second).headers, ...own } },
      route,
    );
    expect([allowed, set]).toEqual([
      true,
      {
        'x-postern-subject': 'someone',
        'x-postern-acr': 'aal2',
        'x-postern-auth-time': String(authenticatedAt),
      },
    ]);
    expect(metadata).toMatchObject({ acr: 'aal2', amr: ['pwd', 'otp'], auth_time: authenticatedAt });
    const without = await check({ headers: { ...withToken(signed({})).headers, ...own } });
    expect(without.set).toEqual({ 'x-postern-subject': 'someone' });
    expect(without.removed).toEqual(
      expect.arrayContaining(['x-postern-acr', 'x-postern-auth-time', 'x_postern_acr']),
    );
  });

  test('answers 401 with the challenge of RFC 9470, before a role is missing', async () => {
    const now = nowSeconds();
    for (const claims of [
      {},
      { acr: 'aal1', auth_time: now },
      { acr: 'aal2', auth_time: now - 301 },
      { acr: 'aal2' },
    ]) {
      const denied = await check(withToken(signed(claims)), { ...route, roles_all: 'admin' });
      expect([claims, denied.http, denied.body.reason]).toEqual([claims, 401, 'STEP_UP_REQUIRED']);
      expect(denied.headers['www-authenticate']).toBe(`${challenge}, acr_values="aal2", max_age="300"`);
    }
    const fresh = { acr: 'aal2', auth_time: now };
    expect((await check(withToken(signed(fresh)), { ...route, roles_all: 'admin' })).body.reason).toBe(
      'ROLE_MISSING',
    );
    const level = await check(withToken(token), { min_acr: 'aal2' });
    expect(level.headers['www-authenticate']).toBe(`${challenge}, acr_values="aal2"`);
    expect((await check(withToken(token), { min_acr: 'aal1', max_auth_age: '60' })).allowed).toBe(true);
  });
});

describe('E05 identity headers', () => {
  test('encode every name reversibly', async () => {
    const roles = ['plain', 'with space', 'a,b', '100%', 'J\u00f6rg \u674e', '"q"', 'x\\y'];
    const { set } = await check(withToken(signed({ roles }, { subject: 'a\u2028b c' })));
    for (const value of Object.values(set)) expect(value).toMatch(/^[\x21-\x7e]{1,1024}$/);
    expect(set['x-postern-roles']?.split(',').map(decodeURIComponent)).toEqual(roles);
    expect(decodeURIComponent(set['x-postern-subject'] ?? '')).toBe('a\u2028b c');
  });

  test('that would not fit cause a denial, not a shorter identity', async () => {
    const fitting = Array.from({ length: 4 }, (_, index) => String(index).repeat(255));
    expect((await check(withToken(signed({ roles: fitting })))).set['x-postern-roles']).toHaveLength(1023);
    for (const roles of [[...fitting, 'x'], ['\u674e'.repeat(200)]]) {
      const { http, body } = await check(withToken(signed({ roles })));
      expect([http, body.reason]).toEqual([403, 'IDENTITY_UNFIT']);
    }
  });
});

describe('E01 an unreadable request is denied, never with a failed RPC', () => {
  test.each<[string, Message]>([
    ['an empty message', {}],
    ['no request', { attributes: { context_extensions: { mode: 'optional' } } }],
    ['no HTTP request', { attributes: { request: {}, context_extensions: { mode: 'optional' } } }],
  ])('%s', async (_name, request) => {
    const { code, response } = await service.call('envoy.service.auth.v3.Authorization/Check', request);
    expect(code).toBe(status.OK);
    expect(response).toMatchObject({
      status: { code: 7 },
      denied_response: { status: { code: 'Forbidden' } },
    });
  });

  test('the RPC ends with OK and the answer has the same code as VerifyToken', async () => {
    const { code, response } = await service.call('envoy.service.auth.v3.Authorization/Check', {
      attributes: { request: { http: {} } },
    });
    expect([code, response?.['status']]).toEqual([status.OK, expect.objectContaining({ code: 16 })]);
  });

  test('a refusal is one line of the log, with reason and request id, without the token', async () => {
    const lines = service.logLines.length;
    await check(withToken('attackers-token'));
    const [line = '', ...others] = service.logLines.slice(lines);
    expect(others).toEqual([]);
    expect(JSON.parse(line)).toMatchObject({
      level: 'info',
      reason: 'TOKEN_MALFORMED',
      request_id: expect.any(String),
    });
    expect(line).not.toContain('attackers-token');
  });
});

test('health reports SERVING for the authorization service', async () => {
  const name = 'envoy.service.auth.v3.Authorization';
  expect((await service.call('grpc.health.v1.Health/Check', { service: name })).response).toEqual({
    status: 'SERVING',
  });
});
