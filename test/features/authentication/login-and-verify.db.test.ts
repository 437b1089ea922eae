import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { status } from '@grpc/grpc-js';

import { startTestService, type TestService } from '../../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
let service: TestService;
let userId: string;

beforeAll(async () => {
  service = await startTestService();
  userId = await service.addUser(email, password, ['admin']);
});
afterAll(() => service.stop());

const login = (request: Record<string, unknown>) => service.call('postern.v1.AuthService/Login', request);
const verify = (request: Record<string, unknown>, metadata?: Record<string, string>) =>
  service.call('postern.v1.AuthService/VerifyToken', request, metadata);

describe('Login', () => {
  test('answers a token set', async () => {
    const { code, response, trailers } = await login({ email, password });
    expect(code).toBe(status.OK);
    expect(response).toMatchObject({ token_type: 'bearer', expires_in: 600, user_id: userId });
    expect(response?.['session_id']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(trailers.get('x-request-id')).toHaveLength(1);
  });

  test('L08 takes the e-mail in any case, and the password only as it is', async () => {
    expect((await login({ email: 'ANN@Example.COM', password })).code).toBe(status.OK);
    for (const wrong of ['Correct horse battery', ` ${password}`, `${password} `]) {
      expect((await login({ email, password: wrong })).reason).toBe('INVALID_CREDENTIALS');
    }
  });

  test('T26 signs a token with exactly alg, kid, typ and without e-mail', async () => {
    const token = await service.tokenOf(email, password);
    const [header, claims] = token
      .split('.', 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as object);
    expect(Object.keys(header ?? {}).sort()).toEqual(['alg', 'kid', 'typ']);
    expect(Object.keys(claims ?? {}).sort()).toEqual([
      'acr',
      'amr',
      'aud',
      'auth_time',
      'client_id',
      'exp',
      'iat',
      'iss',
      'jti',
      'roles',
      'sid',
      'sub',
    ]);
    expect(JSON.stringify(claims)).not.toContain('ann');
  });

  test('L01 gives byte-identical refusals for unknown users, wrong passwords and disabled users', async () => {
    await service.addUser('dora@example.com', password);
    await service.database.query(`UPDATE users SET disabled_at = now() WHERE email = 'dora@example.com'`);
    await service.addUser('nopw@example.com', password);
    await service.database.query(`UPDATE users SET password_hash = NULL WHERE email = 'nopw@example.com'`);
    const outcomes = await Promise.all([
      login({ email: 'nobody@example.com', password }),
      login({ email, password: 'wrong horse battery' }),
      login({ email: 'dora@example.com', password }),
      login({ email: 'nopw@example.com', password }),
    ]);
    const shapes = outcomes.map(({ code, message, trailers }) => {
      trailers.remove('x-request-id');
      trailers.remove('date');
      return JSON.stringify([
        code,
        message,
        trailers.getMap(),
        trailers.get('grpc-status-details-bin').map(String),
      ]);
    });
    expect(outcomes[0].reason).toBe('INVALID_CREDENTIALS');
    expect(new Set(shapes).size).toBe(1);
  });

  test.each([
    ['$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$cut', 'damaged'],
    ['$9z$somethingelse', 'unknown-format'],
  ])('a stored hash like %s is refused as a wrong password and logged without it', async (hash, damage) => {
    const name = `${damage}@example.com`;
    const id = await service.addUser(name, password);
    await service.database.query(`UPDATE users SET password_hash = $1 WHERE id = $2`, [hash, id]);
    service.logLines.length = 0;
    expect((await login({ email: name, password })).reason).toBe('INVALID_CREDENTIALS');
    const warnings = service.logLines.filter((line) => line.includes('stored-password-unreadable'));
    expect(warnings).toHaveLength(1);
    expect(JSON.parse(warnings[0] ?? '')).toMatchObject({ level: 'warn', user_id: id, detail: damage });
    for (const line of service.logLines) {
      for (const secret of [hash, name, password]) expect(line).not.toContain(secret);
    }
  });

  test('signs for another audience only when it is configured', async () => {
    const { reason, message } = await login({ email, password, audience: 'other' });
    expect(reason).toBe('FIELD_INVALID');
    expect(message).toContain('audience');
  });

  test.each([
    ['email', { email: '', password }],
    ['email', { email: 'a\0@example.com', password }],
    ['email', { email: `${'a'.repeat(300)}@example.com`, password }],
    ['email', { email: '\u212Aate@example.com', password }],
    ['password', { email, password: '' }],
    ['password', { email, password: 'a\0b' }],
    ['password', { email, password: 'x'.repeat(1025) }],
    ['audience', { email, password, audience: 'a\nb' }],
  ])('N12 refuses a bad %s with its name', async (field, request) => {
    const { code, reason, message } = await login(request);
    expect([code, reason]).toEqual([status.INVALID_ARGUMENT, 'FIELD_INVALID']);
    expect(message).toContain(`${field}: `);
  });

  test.each([
    ['an address that is none', { address: 'not an address' }],
    ['a user agent that is too long', { user_agent: 'x'.repeat(300) }],
    ['a user agent with control characters', { user_agent: 'a\u0007\0' }],
  ])('L12 a caller whose `client` is ignored logs in with %s', async (_, client) => {
    expect((await login({ email, password, client })).code).toBe(status.OK);
  });
});

describe('VerifyToken', () => {
  test('returns the identity in a token from the field and from metadata', async () => {
    const token = await service.tokenOf(email, password);
    const fromField = await verify({ access_token: token });
    expect(fromField.response).toMatchObject({
      subject: userId,
      issuer: 'http://127.0.0.1:8080',
      audience: ['postern'],
      roles: ['admin'],
      subject_type: 'USER',
    });
    const fromMetadata = await verify({}, { authorization: `bearer ${token}` });
    expect(fromMetadata.response).toEqual(fromField.response);
    const fieldWins = await verify({ access_token: token }, { authorization: 'Bearer junk' });
    expect(fieldWins.code).toBe(status.OK);
  });

  test.each([
    ['CREDENTIALS_MISSING', {}, undefined],
    ['CREDENTIALS_MISSING', {}, { authorization: 'Basic YTpi' }],
    ['CREDENTIALS_MISSING', {}, { authorization: 'Bearer' }],
    ['TOKEN_MALFORMED', {}, { authorization: 'Bearer a b' }],
    ['TOKEN_MALFORMED', { access_token: 'junk' }, undefined],
    ['TOKEN_MALFORMED', { access_token: 'prt_abc' }, undefined],
    ['TOKEN_TOO_LARGE', { access_token: 'a'.repeat(8193) }, undefined],
  ])('N11 answers %s', async (reason, request, metadata) => {
    const outcome = await verify(request, metadata);
    expect([outcome.code, outcome.reason]).toEqual([status.UNAUTHENTICATED, reason]);
  });

  test('refuses a token for another audience than the requested one', async () => {
    const token = await service.tokenOf(email, password);
    expect((await verify({ access_token: token, audience: 'postern' })).code).toBe(status.OK);
    expect((await verify({ access_token: token, audience: 'other' })).reason).toBe('TOKEN_CLAIMS_INVALID');
  });

  test('refuses an altered signature', async () => {
    const token = await service.tokenOf(email, password);
    const last = token.at(-6) === 'A' ? 'B' : 'A';
    const altered = token.slice(0, -6) + last + token.slice(-5);
    expect((await verify({ access_token: altered })).reason).toBe('TOKEN_SIGNATURE_INVALID');
  });
});

test('K11 GetJwks answers the set that HTTP serves, and HTTP answers 304 to its ETag', async () => {
  const { response } = await service.call('postern.v1.AuthService/GetJwks', {});
  const overHttp = await fetch(`${service.httpUrl}/.well-known/jwks.json`);
  expect(await overHttp.text()).toBe(response?.['jwks']);
  expect(overHttp.headers.get('cache-control')).toBe('public, max-age=600');
  const etag = overHttp.headers.get('etag') ?? '';
  const again = await fetch(overHttp.url, { headers: { 'if-none-match': etag } });
  expect(again.status).toBe(304);
  const { keys } = JSON.parse(String(response?.['jwks'])) as { keys: object[] };
  expect(keys.map((key) => Object.keys(key).sort())).toEqual([['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']]);
});

test('health reports SERVING for the process and the service', async () => {
  for (const name of ['', 'postern.v1.AuthService']) {
    const { response } = await service.call('grpc.health.v1.Health/Check', { service: name });
    expect(response).toEqual({ status: 'SERVING' });
  }
});

test('the HTTP listener serves discovery, liveness and readiness', async () => {
  const discovery = (await (
    await fetch(`${service.httpUrl}/.well-known/openid-configuration`)
  ).json()) as object;
  expect(discovery).toEqual({
    issuer: 'http://127.0.0.1:8080',
    jwks_uri: 'http://127.0.0.1:8080/.well-known/jwks.json',
    id_token_signing_alg_values_supported: ['ES256'],
  });
  for (const path of ['/livez', '/readyz']) expect((await fetch(service.httpUrl + path)).status).toBe(200);
  expect((await fetch(`${service.httpUrl}/nothing`)).status).toBe(404);
  expect((await fetch(`${service.httpUrl}/livez`, { method: 'POST' })).status).toBe(405);
});
