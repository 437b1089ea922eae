import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { account, verdictOf } from '../support/account.ts';
import { openAdminFixture, type AdminFixture, type Credentials } from '../support/admin-fixture.ts';
import { type ClientKey, makeAssertion, makeClientKey } from '../support/client-assertion.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const issuer = 'https://postern.example/auth';
const user = { email: 'ann@example.com', password: 'correct horse battery' };
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

let database: TestDatabase;
let service: TestService;
let fixture: AdminFixture;
let billing: Credentials;
let key: ClientKey;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(
    {
      POSTERN_ISSUER: issuer,
      POSTERN_AUDIENCE: 'postern,ledger',
      POSTERN_OAUTH: 'on',
      POSTERN_PASSWORD_DOOR: 'on',
      POSTERN_AUDIT_REFRESHES: 'daily',
    },
    database,
  );
  fixture = await openAdminFixture(database);
  billing = await fixture.createService('billing', ['reader']);
  key = makeClientKey();
  await fixture.addKey(billing.id, key.publicJwk);
  await service.addUser(user.email, user.password, ['writer']);
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Record<string, unknown>;
}
async function send(path: string, init: RequestInit): Promise<Reply> {
  const response = await fetch(`${service.httpUrl}${path}`, init);
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  const body = isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, headers: response.headers, text, body };
}
const post = (path: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
  send(path, { method: 'POST', body: new URLSearchParams(form), headers });
const raw = (
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  type = 'application/x-www-form-urlencoded',
) => send(path, { method: 'POST', body, headers: { 'content-type': type } });
const basic = (id: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`,
});
const bySecret = () => ({ client_id: billing.id, client_secret: billing.secret });
const byAssertion = () => ({
  client_assertion_type: ASSERTION_TYPE,
  client_assertion: makeAssertion(key, { clientId: billing.id, issuer }),
});
const credentials = { grant_type: 'client_credentials' };
const verdict = ({ status, body }: Reply) => `${status} ${(body['error'] as string | undefined) ?? 'OK'}`;
const serviceToken = async (form: Record<string, string> = {}) =>
  String((await post('/oauth/token', { ...credentials, ...bySecret(), ...form })).body['access_token']);
const introspect = (token: string, form: Record<string, string> = bySecret(), headers = {}) =>
  post('/oauth/introspect', { token, ...form }, headers);

describe('G10 exchanges', () => {
  const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
  const BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
  const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
  const JWT = 'urn:ietf:params:oauth:token-type:jwt';
  const claimsIn = ({ body }: Reply) =>
    JSON.parse(
      Buffer.from(String(body['access_token']).split('.')[1] ?? '', 'base64url').toString(),
    ) as Record<string, unknown>;
  const form = (token: string) => ({
    grant_type: EXCHANGE,
    subject_token: token,
    subject_token_type: ACCESS_TOKEN,
  });
  const login = (audience = '') => service.tokenOf(user.email, user.password, audience);

  test('token-exchange narrows a token, and a service acts with actor_token or as the bearer', async () => {
    const token = await login();
    const narrow = await post('/oauth/token', { ...form(token), audience: 'ledger', roles: 'writer' });
    expect([verdict(narrow), Object.keys(narrow.body)]).toEqual([
      '200 OK',
      ['access_token', 'token_type', 'expires_in', 'issued_token_type'],
    ]);
    expect(narrow.body).toMatchObject({ issued_token_type: ACCESS_TOKEN });
    expect(claimsIn(narrow)).toMatchObject({ aud: 'ledger', roles: ['writer'], client_id: 'exchange' });
    await database.query(
      `UPDATE service_accounts SET own_audiences = '{ledger}', delegation_audiences = '{postern}' WHERE id = $1`,
      [billing.id],
    );
    const acting = { ...form(await login('ledger')), audience: 'postern' };
    const actor = await serviceToken();
    const both = { actor_token: actor, actor_token_type: JWT };
    for (const reply of [
      await post('/oauth/token', { ...acting, ...both }),
      await post('/oauth/token', acting, { authorization: `Bearer ${actor}` }),
    ]) {
      expect(verdict(reply)).toBe('200 OK');
      expect(claimsIn(reply)).toMatchObject({ aud: 'postern', act: { sub: billing.id, name: 'billing' } });
    }
    const revoked = await post('/oauth/revoke', { token: String(narrow.body['access_token']) });
    expect(verdict(revoked)).toBe('200 OK');
    expect(await account.verdict(service, String(narrow.body['access_token']))).toBe('TOKEN_REVOKED');
    expect(await account.verdict(service, token)).toBe('OK');
  });

  test('jwt-bearer takes the same tokens as an assertion', async () => {
    const reply = await post('/oauth/token', {
      grant_type: BEARER,
      assertion: await login(),
      resource: 'ledger',
    });
    expect([verdict(reply), Object.keys(reply.body)]).toEqual([
      '200 OK',
      ['access_token', 'token_type', 'expires_in'],
    ]);
    expect(claimsIn(reply)).toMatchObject({ aud: 'ledger' });
  });

  test('what is refused has the errors of the RFCs', async () => {
    const token = await login();
    const actor = await serviceToken();
    const verdicts = async (...requests: [Record<string, string>, Record<string, string>?][]) =>
      Promise.all(
        requests.map(async ([parameters, headers]) => {
          const reply = await post('/oauth/token', parameters, headers);
          const reason = reply.body['reason'] as string | undefined;
          return `${verdict(reply)} ${reason ?? ''}`.trim();
        }),
      );
    const untyped = { grant_type: EXCHANGE, subject_token: token };
    expect(
      await verdicts(
        [{ grant_type: EXCHANGE, subject_token_type: ACCESS_TOKEN }],
        [untyped],
        [{ ...form(token), subject_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }],
        [{ ...form(token), actor_token: actor }],
        [{ ...form(token), actor_token_type: JWT }],
        [{ ...form(token), requested_token_type: 'urn:ietf:params:oauth:token-type:saml2' }],
        [{ ...form(token), ...bySecret() }],
        [{ ...form(token), ...byAssertion() }],
        [form(token), basic(billing.id, billing.secret)],
        [{ ...form(token), scope: 'writer' }],
        [{ ...form(token), audience: 'nowhere' }],
        [form(`${token}x`)],
        [{ ...form(token), roles: 'admin' }],
        [{ ...form(await login('ledger')), audience: 'postern' }],
        [{ grant_type: BEARER, assertion: `${token}x` }],
        [{ grant_type: BEARER, assertion: token, roles: 'admin' }],
        [{ grant_type: BEARER }],
      ),
    ).toEqual([
      ...Array.from({ length: 9 }, () => '400 invalid_request'),
      '400 invalid_scope',
      '400 invalid_target FIELD_INVALID',
      '400 invalid_request TOKEN_MALFORMED',
      '400 invalid_request EXCHANGE_NOT_ALLOWED',
      '400 invalid_request EXCHANGE_NOT_ALLOWED',
      '400 invalid_grant TOKEN_MALFORMED',
      '400 invalid_grant EXCHANGE_NOT_ALLOWED',
      '400 invalid_request',
    ]);
  });
});

describe('J01 POST /oauth/token', () => {
  test('client_credentials by basic, post and private_key_jwt, for the audience that is asked for', async () => {
    const replies = [
      await post('/oauth/token', credentials, basic(billing.id, billing.secret)),
      await post(
        '/oauth/token',
        { ...credentials, client_id: billing.id },
        basic(billing.id, billing.secret),
      ),
      await post('/oauth/token', { ...credentials, ...bySecret(), audience: 'ledger' }),
      await post('/oauth/token', {
        ...credentials,
        ...bySecret(),
        resource: 'ledger',
        unknown: 'x',
        scope: '',
      }),
      await post('/oauth/token', { ...credentials, ...byAssertion() }),
      await post('/oauth/token', { ...credentials, ...byAssertion(), client_id: billing.id }),
    ];
    expect(replies.map(verdict)).toEqual(replies.map(() => '200 OK'));
    for (const { headers, body } of replies) {
      expect(Object.keys(body)).toEqual(['access_token', 'token_type', 'expires_in']);
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('x-request-id')).toBeTruthy();
      expect(await account.verdict(service, String(body['access_token']))).toBe('OK');
    }
    const audiences = replies.map(({ body }) => {
      const [, claims = ''] = String(body['access_token']).split('.');
      return (JSON.parse(Buffer.from(claims, 'base64url').toString()) as { aud: string }).aud;
    });
    expect(audiences).toEqual(['postern', 'postern', 'ledger', 'ledger', 'postern', 'postern']);
  });

  test('refresh_token rotates the session, and a spent token ends it, as over gRPC', async () => {
    const login = await account.login(service, user.email, user.password);
    const grant = { grant_type: 'refresh_token', client_id: 'any' };
    const first = await post('/oauth/token', { ...grant, refresh_token: login.refresh_token });
    expect([verdict(first), await account.verdict(service, String(first.body['access_token']))]).toEqual([
      '200 OK',
      'OK',
    ]);
    const bad = await post('/oauth/token', { ...grant, refresh_token: 'prt_nonsense' });
    expect([verdict(bad), bad.body['reason']]).toEqual(['400 invalid_grant', 'REFRESH_TOKEN_INVALID']);
    await post('/oauth/token', { ...grant, refresh_token: String(first.body['refresh_token']) });
    const reused = await post('/oauth/token', { ...grant, refresh_token: login.refresh_token });
    expect([verdict(reused), reused.body['reason']]).toEqual(['400 invalid_grant', 'REFRESH_TOKEN_REUSED']);
    // R30: of two refreshes on one day, the first.
    const recorded = await database.query(
      'SELECT action FROM audit_events WHERE target_id = $1 ORDER BY id',
      [login.session_id],
    );
    expect(recorded.map(({ action }) => action)).toEqual(['login', 'token.refresh', 'token.reuse']);
  });

  test.each<[string, Record<string, string>]>([
    ['400 invalid_request', {}],
    ['400 unsupported_grant_type', { grant_type: 'authorization_code' }],
    ['400 unsupported_grant_type', { grant_type: 'CLIENT_CREDENTIALS' }],
    ['401 invalid_client', { ...credentials }],
    ['401 invalid_client', { ...credentials, client_id: 'x' }],
    ['401 invalid_client', { ...credentials, client_id: 'x', client_secret: 'y' }],
    ['401 invalid_client', { ...credentials, client_id: 'x\0', client_secret: 'y\0' }],
    ['400 invalid_scope', { ...credentials, client_id: 'x', client_secret: 'y', scope: 'read' }],
    ['400 invalid_target', { ...credentials, client_id: 'x', client_secret: 'y', audience: 'nobody' }],
    ['400 invalid_target', { ...credentials, client_id: 'x', client_secret: 'y', audience: '\0' }],
    [
      '400 invalid_target',
      { ...credentials, client_id: 'x', client_secret: 'y', audience: 'a', resource: 'b' },
    ],
    ['401 invalid_client', { ...credentials, client_assertion_type: ASSERTION_TYPE, client_assertion: 'x' }],
    ['400 invalid_request', { ...credentials, client_assertion_type: 'other', client_assertion: 'x' }],
    ['400 invalid_request', { ...credentials, client_assertion: 'x' }],
    ['400 invalid_request', { ...credentials, client_assertion_type: ASSERTION_TYPE }],
    [
      '400 invalid_request',
      { ...credentials, client_secret: 'x', client_assertion_type: ASSERTION_TYPE, client_assertion: 'x' },
    ],
    ['400 invalid_request', { grant_type: 'refresh_token' }],
    ['400 invalid_scope', { grant_type: 'refresh_token', refresh_token: 'x', scope: 'x' }],
    ['400 invalid_request', { grant_type: 'password', username: 'x' }],
  ])('%s for %j', async (expected, form) => {
    expect(verdict(await post('/oauth/token', form))).toBe(expected);
  });

  test('several ways to authenticate, and broken headers, are refused', async () => {
    const good = basic(billing.id, billing.secret);
    const base64 = good.authorization.slice(6);
    const verdicts = async (headers: Record<string, string>, form = {}) => {
      const reply = await post('/oauth/token', { ...credentials, ...form }, headers);
      return [verdict(reply), reply.headers.get('www-authenticate')?.split(' ')[0]];
    };
    expect(await verdicts(good, bySecret())).toEqual(['400 invalid_request', undefined]);
    expect(await verdicts(good, byAssertion())).toEqual(['400 invalid_request', undefined]);
    expect(await verdicts(good, { client_id: 'other' })).toEqual(['400 invalid_request', undefined]);
    for (const authorization of [
      'Basic',
      'Basic ',
      `Basic ${base64}=`,
      `Basic ${base64}, Basic ${base64}`,
      `Basic ${base64.slice(0, -3)}`,
      `Basic ${Buffer.from('nocolon').toString('base64')}`,
      `Basic ${Buffer.from('a:b').toString('base64')}`,
      'Bearer x',
    ])
      expect(await verdicts({ authorization })).toEqual(['401 invalid_client', 'Basic']);
    for (const pair of [Buffer.from('a%zz:b'), Buffer.from([0x61, 0x3a, 0xff])])
      expect((await verdicts({ authorization: `Basic ${pair.toString('base64')}` }))[0]).toBe(
        '400 invalid_request',
      );
    // Credentials that are not in the header get no challenge.
    expect(await verdicts({}, { client_id: billing.id, client_secret: 'x' })).toEqual([
      '401 invalid_client',
      undefined,
    ]);
  });

  test('every wrong id, secret, key and signature gets the same answer, to the byte', async () => {
    const other = await fixture.createService('other');
    const foreign = makeClientKey();
    const refused = [
      { client_id: billing.id, client_secret: other.secret },
      { client_id: '01890000-0000-7000-8000-000000000000', client_secret: billing.secret },
      { client_id: 'x', client_secret: 'x' },
      {
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: makeAssertion(foreign, { clientId: billing.id, issuer }),
      },
      {
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: makeAssertion(key, { clientId: other.id, issuer }),
      },
    ];
    const shapes = [];
    for (const form of refused) {
      const { status, headers, text } = await post('/oauth/token', { ...credentials, ...form });
      const named = [...headers].filter(([name]) => name !== 'x-request-id' && name !== 'date');
      shapes.push(JSON.stringify([status, named, text]));
    }
    expect(new Set(shapes).size).toBe(1);
  });

  test('T29 an assertion is accepted once, whichever endpoint or protocol it comes by', async () => {
    const once = byAssertion();
    expect(verdict(await introspect('x', once))).toBe('200 OK');
    const again = await post('/oauth/token', { ...credentials, ...once });
    expect([verdict(again), again.body['reason']]).toEqual(['401 invalid_client', 'TOKEN_REPLAYED']);
    const overGrpc = await service.call('postern.v1.AuthService/IssueServiceToken', {
      client_assertion: once.client_assertion,
    });
    expect(verdictOf(overGrpc)).toBe('TOKEN_REPLAYED');
    expect(verdict(await introspect('x', once))).toBe('401 invalid_client');
  });

  test('a call is audited and counted as the same call over gRPC', async () => {
    const audited = await fixture.createService('audited');
    const form = { ...credentials, client_id: audited.id };
    await post('/oauth/token', { ...form, client_secret: audited.secret });
    await post('/oauth/token', { ...form, client_secret: billing.secret });
    const rows = await database.query(
      `SELECT outcome, reason FROM audit_events WHERE action = 'service.token' AND (actor_id = $1 OR target_id = $1) ORDER BY id`,
      [audited.id],
    );
    expect(rows).toEqual([
      { outcome: 'ok', reason: null },
      { outcome: 'refused', reason: 'INVALID_CREDENTIALS' },
    ]);
    const metrics = (await send('/metrics', {})).text;
    expect(metrics).toMatch(
      /postern_rpc_refusals_total\{method="postern.v1.AuthService\/IssueServiceToken",reason="INVALID_CREDENTIALS"\} \d/,
    );
    expect(metrics).not.toMatch(/oauth/);
  });
});

describe('J02 POST /oauth/introspect', () => {
  test('M47 the claims of a valid token, for a client that authenticates in any way', async () => {
    const token = await serviceToken({ audience: 'ledger' });
    const login = await account.login(service, user.email, user.password);
    const ofService = await introspect(token, {}, basic(billing.id, billing.secret));
    expect(ofService.body).toMatchObject({
      active: true,
      token_type: 'Bearer',
      iss: issuer,
      sub: billing.id,
      client_id: billing.id,
      aud: 'ledger',
      name: 'billing',
      roles: ['reader'],
    });
    for (const name of ['act', 'acr', 'amr', 'auth_time']) expect(ofService.body).not.toHaveProperty(name);
    const ofUser = await introspect(login.access_token, byAssertion());
    expect(ofUser.body).toMatchObject({
      active: true,
      sub: login.user_id,
      sid: login.session_id,
      client_id: 'postern',
      acr: 'aal1',
      amr: ['pwd'],
      auth_time: expect.any(Number),
      roles: ['writer'],
    });
    expect(Math.abs(Number(ofUser.body['auth_time']) - Date.now() / 1000)).toBeLessThan(60);
    expect(ofUser.body).not.toHaveProperty('username');
    expect(ofUser.headers.get('cache-control')).toBe('no-store');
    // By an access token of a service account for Postern itself.
    const bearer = { authorization: `Bearer ${await serviceToken()}` };
    expect((await introspect(token, {}, bearer)).body['active']).toBe(true);
    expect((await introspect(token, { audience: 'ledger' }, bearer)).body['active']).toBe(true);
    expect((await introspect(token, { audience: 'postern' }, bearer)).body).toEqual({ active: false });
    const replies = [
      await introspect(token, bySecret(), bearer),
      await introspect(token, {}, { authorization: `Bearer ${login.access_token}` }),
      await introspect(token, {}, { authorization: 'Bearer x' }),
      await introspect(token, {}),
    ];
    expect(replies.map(verdict)).toEqual([
      '400 invalid_request',
      '403 invalid_client',
      '401 invalid_client',
      '401 invalid_client',
    ]);
    expect(replies[2]?.headers.get('www-authenticate')).toMatch(/^Bearer/);
  });

  test('every token that Postern does not accept is inactive, and nothing else is said of it', async () => {
    const login = await account.login(service, user.email, user.password);
    const revoked = login.access_token;
    await account.revoke(service, revoked);
    const token = await serviceToken();
    const inactive = [
      revoked,
      login.refresh_token,
      'x',
      `${token}x`,
      '\0',
      'a'.repeat(9_000),
      `${token}, ${token}`,
    ];
    for (const one of inactive) expect((await introspect(one)).text).toBe('{"active":false}');
    expect(verdict(await introspect(''))).toBe('400 invalid_request');
  });
});

describe('J03 POST /oauth/revoke', () => {
  test('ends the token or its session at once, without authentication, and never says what a token was', async () => {
    const login = await account.login(service, user.email, user.password);
    const token = await serviceToken();
    const replies = [
      await post('/oauth/revoke', { token: login.refresh_token, token_type_hint: 'refresh_token' }),
      await post('/oauth/revoke', { token, client_id: 'any' }, basic('any', 'thing')),
      await post('/oauth/revoke', { token: login.access_token }),
      await post('/oauth/revoke', { token: 'x' }),
      await post('/oauth/revoke', { token: '\0' }),
    ];
    expect(replies.map(({ status, text }) => [status, text])).toEqual(replies.map(() => [200, '']));
    expect(await account.verdict(service, login.access_token)).toBe('TOKEN_REVOKED');
    expect(await account.verdict(service, token)).toBe('TOKEN_REVOKED');
    expect(verdict(await post('/oauth/revoke', {}))).toBe('400 invalid_request');
  });
});

describe('J04 the paths of a tutorial', () => {
  const login = (body: object) => raw('/login', JSON.stringify(body), 'application/json');

  test('POST /login with JSON, POST /token with a form, and the password grant', async () => {
    const replies = [
      await login(user),
      await login({ username: user.email, password: user.password }),
      await post('/token', { username: user.email, password: user.password }),
      await post('/token', {
        grant_type: 'password',
        username: user.email,
        password: user.password,
        scope: '',
      }),
      await post('/oauth/token', { grant_type: 'password', username: user.email, password: user.password }),
    ];
    expect(replies.map(verdict)).toEqual(replies.map(() => '200 OK'));
    for (const { body } of replies) {
      expect(body).toMatchObject({ token_type: 'bearer' });
      expect(await account.verdict(service, String(body['access_token']))).toBe('OK');
    }
  });

  test('a wrong password and an unknown user get the same answer, with a detail, on the record', async () => {
    const replies = [
      await login({ email: user.email, password: 'wrong horse battery' }),
      await login({ email: 'nobody@example.com', password: 'wrong horse battery' }),
      await post('/token', { username: user.email, password: 'wrong horse battery' }),
    ];
    expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(replies[0]?.status).toBe(401);
    expect(replies[0]?.body).toMatchObject({
      detail: 'the credentials are wrong',
      reason: 'INVALID_CREDENTIALS',
    });
    expect(replies[0]?.headers.get('www-authenticate')).toBe('Bearer');
    expect(
      verdict(await post('/oauth/token', { grant_type: 'password', username: 'x@y.z', password: 'x' })),
    ).toBe('400 invalid_grant');
    const [row] = await database.query(
      `SELECT count(*)::int FROM audit_events WHERE action = 'login' AND outcome = 'refused'`,
    );
    expect(row?.['count']).toBeGreaterThanOrEqual(3);
  });

  test.each<[string, string]>([
    ['an unknown member', '{"email":"a@b.c","password":"x","role":"admin"}'],
    ['a doubled member', '{"email":"a@b.c","email":"d@e.f","password":"x"}'],
    ['both names', '{"email":"a@b.c","username":"a@b.c","password":"x"}'],
    ['a number', '{"email":"a@b.c","password":1}'],
    ['a code that is a number', '{"email":"a@b.c","password":"x","code":123456}'],
    ['a list', '[]'],
    ['no JSON', 'email=a'],
    ['nothing', ''],
    ['depth', '['.repeat(9_000)],
    ['no password', '{"email":"a@b.c"}'],
    ['a lone surrogate', '{"email":"a@b.c","password":"\\ud800"}'],
    ['NUL', '{"email":"a@b.c","password":"\\u0000"}'],
  ])('/login refuses %s', async (_what, body) => {
    expect(verdict(await raw('/login', body, 'application/json'))).toBe('400 invalid_request');
  });
});

describe('J05 hostile requests get a 4xx with a reason', () => {
  const paths = ['/oauth/token', '/oauth/introspect', '/oauth/revoke', '/token'];

  test.each(paths)('%s', async (path) => {
    const verdicts = [
      await raw(path, 'grant_type=password&grant_type=password'),
      await raw(path, 'a=&a='),
      await raw(path, 'token=%zz'),
      await raw(path, 'token=%'),
      await raw(path, 'token=%ff'),
      await raw(path, Uint8Array.of(0x74, 0x3d, 0xff, 0xfe)),
      await raw(path, ''),
      await raw(path, '&&&=&'),
      await raw(path, '\0'),
    ].map(verdict);
    expect(verdicts).toEqual(
      verdicts.map(() => expect.stringMatching(/^(400 invalid_request|401 invalid_client)$/) as unknown),
    );
    for (const [body, why] of [
      ['grant_type=password&grant_type=password', /twice/],
      ['token=x&client_id=&client_id=', /twice/],
      ['token=%ff', /UTF-8/],
    ] as const)
      expect((await raw(path, body)).body['error_description']).toMatch(why);
    expect(verdicts.slice(0, 6)).toEqual(Array(6).fill('400 invalid_request'));
    expect(verdict(await raw(path, 'x'.repeat(1_000_000)))).toBe('413 invalid_request');
    for (const type of [
      'application/json',
      'text/plain',
      'multipart/form-data',
      '',
      'application/x-www-form-urlencoded; charset=latin1',
    ])
      expect(verdict(await raw(path, 'token=x', type))).toBe('415 invalid_request');
    const compressed = await send(path, {
      method: 'POST',
      body: 'x',
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-encoding': 'gzip' },
    });
    expect(verdict(compressed)).toBe('415 invalid_request');
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
      const reply = await send(`${path}?grant_type=password`, { method });
      expect([verdict(reply), reply.headers.get('allow')]).toEqual(['405 invalid_request', 'POST']);
    }
  });

  test('and nothing of it is logged as a fault', () => {
    expect(service.logLines.filter((line) => /"level":(50|60|"error"|"fatal")|INTERNAL/.test(line))).toEqual(
      [],
    );
  });
});

test('J06 the metadata are at every place where the two standards look, and lists what is served', async () => {
  const places = [
    '/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/auth',
    '/auth/.well-known/oauth-authorization-server',
    '/.well-known/openid-configuration',
    '/auth/.well-known/openid-configuration',
    '/.well-known/openid-configuration/auth',
  ];
  const documents = await Promise.all(places.map((path) => send(path, {})));
  expect(new Set(documents.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
  expect(documents[0]?.body).toEqual({
    issuer,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    id_token_signing_alg_values_supported: ['ES256'],
    token_endpoint: `${issuer}/oauth/token`,
    grant_types_supported: [
      'client_credentials',
      'refresh_token',
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'urn:ietf:params:oauth:grant-type:jwt-bearer',
      'password',
    ],
    response_types_supported: [],
    subject_types_supported: ['public'],
    token_endpoint_auth_methods_supported: [
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      'none',
    ],
    token_endpoint_auth_signing_alg_values_supported: ['ES256', 'RS256', 'EdDSA'],
    introspection_endpoint: `${issuer}/oauth/introspect`,
    introspection_endpoint_auth_methods_supported: [
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      'Bearer',
    ],
    introspection_endpoint_auth_signing_alg_values_supported: ['ES256', 'RS256', 'EdDSA'],
    revocation_endpoint: `${issuer}/oauth/revoke`,
    revocation_endpoint_auth_methods_supported: ['none'],
  });
  // With and without the path of the issuer, which a proxy may remove.
  expect((await send('/auth/.well-known/jwks.json', {})).status).toBe(200);
  expect(verdict(await post('/auth/oauth/token', { ...credentials, ...bySecret() }))).toBe('200 OK');
});

test('J06 nothing is served that is not on', async () => {
  const off = await startTestService({ POSTERN_ISSUER: 'https://postern.example' }, database);
  try {
    for (const path of ['/oauth/token', '/oauth/introspect', '/oauth/revoke', '/login', '/token'])
      expect((await fetch(`${off.httpUrl}${path}`, { method: 'POST' })).status).toBe(404);
    const metadata = await fetch(`${off.httpUrl}/.well-known/oauth-authorization-server`);
    expect(Object.keys((await metadata.json()) as object)).toEqual([
      'issuer',
      'jwks_uri',
      'id_token_signing_alg_values_supported',
    ]);
  } finally {
    await off.stop();
  }
});
