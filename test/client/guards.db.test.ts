import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';

import {
  authenticateRequest,
  authInterceptor,
  type AuthInterceptorOptions,
  callerOf,
  createVerifier,
  openPolicyFile,
  requireToken,
  requireTokenHook,
  type VerifiedClaims,
  type Verifier,
} from '../../src/client/postern-client.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { serviceToken } from '../support/callers.ts';
import { reasonOf, startTestService, type TestService } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
let service: TestService;
let verifier: Verifier;
let token: string;
/** For the same user, in which the service `guard` acts. */
let acted: string;
let client: grpc.Client;
const servers: grpc.Server[] = [];
/** Closed after each test, also after one that fails: an open one would keep Jest from exiting. */
const webServers: (HttpServer | Http2Server)[] = [];
const text = {
  requestStream: false,
  responseStream: false,
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
} as const;

beforeAll(async () => {
  service = await startTestService();
  await service.addUser(email, password, ['reader']);
  token = await service.tokenOf(email, password);
  const { id, secret } = await (await openAdminFixture(service.database)).createService('guard');
  await service.database.query(
    `UPDATE service_accounts SET own_audiences = '{postern}', delegation_audiences = '{postern}' WHERE id = $1`,
    [id],
  );
  const exchange = { subject_token: token, actor_token: await serviceToken(service, { id, secret }) };
  acted = String(
    (await service.call('postern.v1.AuthService/ExchangeToken', exchange)).response?.['access_token'],
  );
  verifier = createVerifier({
    trust: {
      upstream: { address: service.grpcAddress },
      credential: { clientId: id, clientSecret: secret },
    },
  });
  await verifier.ready(5_000);
  client = await serve({
    verifier,
    methods: {
      '/t.T/Open': 'public',
      '/t.T/Maybe': { optional: true },
      '/t.T/Admin': { roles: ['admin'] },
      '/t.T/Acted': { roles: ['reader'], actors: ['guard'] },
      '/t.T/Others': { actors: ['support'] },
    },
  });
});
afterEach(async () => {
  for (const open of webServers.splice(0)) {
    if ('closeAllConnections' in open) open.closeAllConnections();
    await new Promise((resolve) => open.close(resolve));
  }
});
afterAll(async () => {
  client.close();
  for (const server of servers) server.forceShutdown();
  verifier.close();
  await service.stop();
});

const names = ['Open', 'Maybe', 'Admin', 'Acted', 'Others', 'Unnamed'];
const services: grpc.ServiceDefinition[] = [
  Object.fromEntries(names.map((name) => [name, { ...text, path: `/t.T/${name}` }])),
];

async function serve(options: AuthInterceptorOptions): Promise<grpc.Client> {
  const server = new grpc.Server({ interceptors: [authInterceptor(options)] });
  servers.push(server);
  const whoIsIt: grpc.handleUnaryCall<string, string> = (call, answer) =>
    answer(null, callerOf(call)?.subject ?? 'nobody');
  server.addService(services[0] ?? {}, Object.fromEntries(names.map((name) => [name, whoIsIt])));
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
}

/** The caller's id, or the reason or code of the refusal. */
function call(method: string, ...authorization: string[]): Promise<string | undefined> {
  return callOf(client, method, ...authorization);
}

function callOf(
  client: grpc.Client,
  method: string,
  ...authorization: string[]
): Promise<string | undefined> {
  const metadata = new grpc.Metadata();
  for (const value of authorization) metadata.add('authorization', value);
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      `/t.T/${method}`,
      text.requestSerialize,
      text.responseDeserialize,
      'x',
      metadata,
      { deadline: Date.now() + 60_000 },
      (error, response) => resolve(error ? (reasonOf(error.metadata) ?? grpc.status[error.code]) : response),
    );
  });
}

test('the interceptor admits authorized callers and passes the caller to the handler', async () => {
  const good = `Bearer ${token}`;
  const { subject } = await verifier.verify(token);
  expect(await call('Unnamed', good)).toBe(subject);
  expect(await call('Unnamed')).toBe('CREDENTIALS_MISSING');
  expect(await call('Unnamed', 'Basic eA==')).toBe('CREDENTIALS_MISSING');
  expect(await call('Unnamed', 'Bearer junk')).toBe('TOKEN_MALFORMED');
  expect(await call('Open', 'Bearer junk')).toBe('nobody');
  expect(await call('Maybe')).toBe('nobody');
  expect(await call('Maybe', good)).toBe(subject);
  expect(await call('Maybe', 'Bearer junk')).toBe('TOKEN_MALFORMED');
  expect(await call('Admin', good)).toBe('ROLE_MISSING');
});

test('G11 actors: the last actor must be listed, and without the rule an actor makes no difference', async () => {
  const { subject, actor } = await verifier.verify(acted);
  expect(actor).toMatchObject({ name: 'guard', actor: null });
  const verdicts = async (bearer: string) => [
    await call('Unnamed', bearer),
    await call('Acted', bearer),
    await call('Others', bearer),
  ];
  expect(await verdicts(`Bearer ${acted}`)).toEqual([subject, subject, 'ACTOR_NOT_ALLOWED']);
  expect(await verdicts(`Bearer ${token}`)).toEqual([subject, 'ACTOR_NOT_ALLOWED', 'ACTOR_NOT_ALLOWED']);
  const refused = await authenticateRequest(
    verifier,
    { authorization: `Bearer ${token}` },
    { actors: ['guard'] },
  );
  expect(refused).toMatchObject({ ok: false, refusal: { status: 403 } });
  for (const access of [{ actors: [] }, { actors: 'guard' }, { optional: true, actors: ['guard'] }])
    expect(() => authInterceptor({ verifier, methods: { '/t.T/Acted': access as never } })).toThrow(/actor/);
});

test('G27 a policy file and rules in code must both allow a call, and a changed file is used', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-policy-'));
  const path = join(folder, 'policy.json');
  const write = (methods: object) => writeFileSync(path, JSON.stringify({ version: 1, methods }));
  write({ '/t.T/Open': 'public', '/t.T/Maybe': 'public', '/t.T/Admin': {} });
  const policy = await openPolicyFile(path, { services });
  const guarded = await serve({
    verifier,
    policy,
    services,
    methods: { '/t.T/Maybe': { optional: true }, '/t.T/Admin': { roles: ['admin'] } },
  });
  const good = `Bearer ${token}`;
  const { subject } = await verifier.verify(token);
  expect(await callOf(guarded, 'Open', 'Bearer junk')).toBe('nobody');
  expect(await callOf(guarded, 'Unnamed', good)).toBe('METHOD_NOT_LISTED');
  expect(await callOf(guarded, 'Maybe', 'Bearer junk')).toBe('TOKEN_MALFORMED');
  expect(await callOf(guarded, 'Admin', good)).toBe('ROLE_MISSING');

  write({ '/t.T/Open': { roles: ['reader'] }, '/t.T/Maybe': {}, '/t.T/Unnamed': { actors: ['shop'] } });
  await policy.reload();
  expect(await callOf(guarded, 'Open')).toBe('CREDENTIALS_MISSING');
  expect(await callOf(guarded, 'Open', good)).toBe(subject);
  expect(await callOf(guarded, 'Maybe')).toBe('CREDENTIALS_MISSING');
  expect(await callOf(guarded, 'Unnamed', good)).toBe('ACTOR_NOT_ALLOWED');
  expect(await callOf(guarded, 'Admin', good)).toBe('METHOD_NOT_LISTED');

  write({ '/t.T/Opne': 'public' });
  await policy.reload();
  expect(await callOf(guarded, 'Open')).toBe('CREDENTIALS_MISSING');
  await expect(openPolicyFile(path, { services })).rejects.toThrow("no service has the method '/t.T/Opne'");
  policy.close();
  guarded.close();
  rmSync(folder, { recursive: true });
});

test('HTTP requests are checked by the same rules', async () => {
  const web = await authenticateRequest(verifier, new Headers({ authorization: `Bearer ${token}` }));
  expect(web.ok && web.caller.roles).toEqual(['reader']);
  const missing = await authenticateRequest(verifier, {});
  expect(missing).toMatchObject({
    ok: false,
    refusal: { status: 401, headers: { 'www-authenticate': 'Bearer' } },
  });
  const twice = await authenticateRequest(verifier, { authorization: ['Bearer a', 'Bearer b'] });
  expect(!twice.ok && JSON.parse(twice.refusal.body)).toMatchObject({ error: 'TOKEN_MALFORMED' });
  const role = await authenticateRequest(
    verifier,
    { authorization: `Bearer ${token}` },
    { roles: ['admin'] },
  );
  expect(!role.ok && role.refusal.status).toBe(403);
});

test('the middleware for Express and Connect answers unauthenticated requests itself', async () => {
  const guard = requireToken(verifier);
  const http = createServer((request, response) => {
    const guarded = request as typeof request & { caller?: VerifiedClaims };
    guard(guarded, response, () => response.end(guarded.caller?.subjectType));
  });
  webServers.push(http);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const refused = await fetch(url);
  expect([refused.status, ((await refused.json()) as { error: string }).error]).toEqual([
    401,
    'CREDENTIALS_MISSING',
  ]);
  const served = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  expect(await served.text()).toBe('user');
});

test('an invalid configuration fails at the start and reports every fault at once', () => {
  const setUp = (methods: object) => authInterceptor({ verifier, methods: methods as never, services: [] });
  expect(() => setUp({ 'T/Open': { role: ['admin'] }, '/t.T/A': { optional: true, roles: ['x'] } })).toThrow(
    /full method name.*member 'role'.*no service has the method '\/t\.T\/A'.*without a token/s,
  );
  expect(() => requireToken(verifier, { roles: [] })).toThrow('roles');
  expect(() => requireTokenHook(verifier, { audiences: ['x'] } as never)).toThrow("'audiences'");
  const trust = { jwksUrl: 'http://127.0.0.1/', issuer: '', audiences: [] };
  expect(() => createVerifier({ trust, maxStalenessMs: 0 })).toThrow(/maxStalenessMs.*issuer.*audiences/);
  const far = { trust: { upstream: { address: 'postern.example.com:50051' } } };
  expect(() => createVerifier(far)).toThrow('leave this machine in plaintext');
});

test.each([
  ['http://auth.example.com/jwks.json', false],
  ['http://127.0.0.1.example.com/', false],
  ['http://localhost.example.com/', false],
  ['http://0.0.0.0/', false],
  ['HTTP://AUTH.EXAMPLE.COM/', false],
  ['http://127.0.0.2:1/', true],
  ['http://localhost:1/', true],
  ['http://[::1]:1/', true],
])('N10 a key set from %s in plaintext, without insecure: %s', (jwksUrl, accepted) => {
  const trust = { jwksUrl, issuer: 'i', audiences: ['a'] };
  if (accepted) createVerifier({ trust }).close();
  else expect(() => createVerifier({ trust })).toThrow(/plaintext.*https.*insecure/);
});

test('N10 a key set in plaintext is accepted with insecure', async () => {
  const { port } = new URL(service.httpUrl);
  // Reaches this machine on Linux, but is not a loopback address.
  const jwksUrl = `http://0.0.0.0:${port}/.well-known/jwks.json`;
  const trust = { jwksUrl, issuer: service.httpUrl, audiences: ['postern'], insecure: true };
  const verifier = createVerifier({ trust });
  expect(await verifier.ready(5_000)).toBe(true);
  verifier.close();
});

test.each([
  ['nothing', {}, 'trust must have an upstream'],
  ['no address', { trust: { upstream: {} } }, 'trust.upstream.address is missing'],
  ['no audiences', { trust: { jwksUrl: 'http://127.0.0.1/', issuer: 'i' } }, 'trust.audiences must name'],
  [
    'half a credential',
    { trust: { upstream: { address: '127.0.0.1:1' }, credential: {} } },
    'trust.credential',
  ],
  [
    'a misspelt option',
    { trust: { upstream: { address: '127.0.0.1:1' } }, maxStaleness: 1 },
    'maxStaleness is not',
  ],
  [
    'both origins',
    { trust: { jwksUrl: 'http://127.0.0.1/', issuer: 'i', audiences: ['a'], upstream: {} } },
    'trust.upstream is not',
  ],
  [
    'an insecure that is not a boolean',
    { trust: { jwksUrl: 'http://127.0.0.1/', issuer: 'i', audiences: ['a'], insecure: 'no' } },
    'trust.insecure must be',
  ],
])('a verifier with %s is not created', (_what, options, fault) => {
  expect(() => createVerifier(options as never)).toThrow(TypeError);
  expect(() => createVerifier(options as never)).toThrow(fault);
});

test.each([{ role: ['admin'] }, 'admin', { roles: 'admin' }, null])(
  'invalid requirements, %p, admit nobody',
  async (requirements) => {
    expect(() => verifier.verify(token, requirements as never)).toThrow(TypeError);
    const headers = { authorization: `Bearer ${token}` };
    await expect(authenticateRequest(verifier, headers, requirements as never)).rejects.toThrow(TypeError);
  },
);

test('the hook for Fastify refuses a missing and a repeated authorization header', async () => {
  const hook = requireTokenHook(verifier);
  const answered: unknown[] = [];
  const reply = {
    code: (status: number) => answered.push(status),
    headers: (values: Record<string, string>) => answered.push(values['www-authenticate']),
    send: (body: string) => answered.push((JSON.parse(body) as { error: string }).error),
  };
  const good = { raw: { headers: { authorization: `Bearer ${token}` } } };
  expect(await hook(good, reply)).toBeUndefined();
  expect(good).toMatchObject({ caller: { subjectType: 'user' } });
  const twice = { authorization: [`Bearer ${token}`, `Bearer ${token}`] };
  expect(await hook({ raw: { ...good.raw, headersDistinct: twice } }, reply)).toBe(reply);
  expect(answered).toEqual([401, expect.stringContaining('invalid_token'), 'TOKEN_MALFORMED']);
});

/** A request of HTTP/2 in literal headers (RFC 7541 section 6.2.2): the client of Node sends no header twice. */
function http2Request(headers: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string) => Buffer.from([0x7f, ...varint(value.length - 0x7f), ...Buffer.from(value)]);
  const varint = (rest: number): number[] =>
    rest < 128 ? [rest] : [(rest % 128) + 128, ...varint(rest >> 7)];
  const short = (value: string) => Buffer.from([value.length, ...Buffer.from(value)]);
  const block = Buffer.concat(
    headers.flatMap(([name, value]) => [
      Buffer.from([0]),
      short(name),
      value.length < 0x7f ? short(value) : text(value),
    ]),
  );
  const frame = (type: number, flags: number, stream: number, body: Buffer) =>
    Buffer.concat([
      Buffer.from([0, body.length >> 8, body.length & 255, type, flags, 0, 0, 0, stream]),
      body,
    ]);
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(4, 0, 0, Buffer.alloc(0)),
    frame(1, 5, 1, block),
  ]);
}

test('V26 over HTTP/2 the middleware refuses a repeated authorization header, of which Node shows the first', async () => {
  const guard = requireToken(verifier);
  const http = createHttp2Server((request, response) => {
    guard(request, response, () => response.end('accepted'));
  });
  webServers.push(http);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const ask = (values: readonly string[]) =>
    new Promise<string>((resolve) => {
      const start = [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/'],
        [':authority', 'shop.example.com'],
      ] as const;
      const socket = connect(port, '127.0.0.1', () =>
        socket.write(http2Request([...start, ...values.map((value) => ['authorization', value] as const)])),
      );
      let answer = '';
      socket.on('data', (bytes: Buffer) => {
        answer += bytes.toString('latin1');
        const [found] = /accepted|[A-Z]+_[A-Z_]+/.exec(answer) ?? [];
        if (found === undefined) return;
        socket.destroy();
        resolve(found);
      });
    });
  expect(await ask([`Bearer ${token}`])).toBe('accepted');
  expect(await ask([`Bearer ${token}`, 'Bearer other'])).toBe('TOKEN_MALFORMED');
  expect(await ask([])).toBe('CREDENTIALS_MISSING');
});

test('the middleware leaves a response alone that was sent meanwhile', async () => {
  const guard = requireToken(verifier);
  let end: (how: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => (end = resolve));
  const http = createServer((request, response) => {
    // Of a time limit in front of the guard. Setting a header then is an error, which would end the process.
    response.writeHead(504).end('too late');
    const { headersSent } = response;
    const watched = Object.defineProperties(response, {
      headersSent: {
        get: () => {
          setImmediate(end, 'left alone');
          return headersSent;
        },
      },
      setHeader: { value: () => end('a header was set') },
    });
    guard(request, watched, () => undefined);
  });
  webServers.push(http);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  expect((await fetch(`http://127.0.0.1:${port}`)).status).toBe(504);
  expect(await ended).toBe('left alone');
});
