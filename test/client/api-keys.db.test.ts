import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';

import * as grpc from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import {
  authenticateRequest,
  authInterceptor,
  type AuthInterceptorOptions,
  callerOf,
  createVerifier,
  PosternError,
  requireToken,
  requireTokenHook,
  type Verifier,
  type VerifierOptions,
  type VerifyOptions,
} from '../../src/client/postern-client.ts';
import { makeScannableSecret } from '../../src/crypto/api-secret.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { type Message, reasonOf, startTestService, type TestService } from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

const bob = { email: 'bob@example.com', password: 'correct horse battery' };
const settings = { POSTERN_AUDIENCE: 'postern,billing' };
let database: TestDatabase;
let service: TestService;
let credential: { clientId: string; clientSecret: string };
let bobId: string;
let asBob: string;
const verifiers: Verifier[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(settings, database);
  bobId = await service.addUser(bob.email, bob.password, ['reader', 'writer']);
  asBob = `Bearer ${await service.tokenOf(bob.email, bob.password)}`;
  const { id, secret } = await (await openAdminFixture(database)).createService('verifier');
  credential = { clientId: id, clientSecret: secret };
});
afterEach(() => {
  for (const verifier of verifiers.splice(0)) verifier.close();
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

async function readyVerifier(at = service, options: Partial<VerifierOptions> = {}): Promise<Verifier> {
  const trust = { upstream: { address: at.grpcAddress }, credential };
  const verifier = createVerifier({ trust, ...options });
  verifiers.push(verifier);
  await verifier.ready(10_000);
  return verifier;
}

let made = 0;
async function create(request: Message = {}, at = service): Promise<{ key: string; id: string }> {
  const fields = { name: `key ${(made += 1)}`, roles: ['reader'], ...request };
  const { response, message } = await at.call('postern.v1.AuthService/CreateApiKey', fields, {
    authorization: asBob,
  });
  if (!response) throw new Error(message);
  return { key: String(response['secret']), id: String((response['api_key'] as Message)['id']) };
}
const revoke = (id: string) =>
  service.call('postern.v1.AuthService/RevokeApiKey', { id }, { authorization: asBob });
const resolutions = (at = service) =>
  at.logLines.filter((line) => line.includes('TrustService/ResolveApiKey"')).length;
const unknownKey = () => makeScannableSecret('pak_', crypto.getRandomValues(new Uint8Array(32)));

async function verdictOf(verifier: Verifier, key: string, options: VerifyOptions = {}): Promise<string> {
  try {
    await verifier.verify(key, options);
    return 'good';
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return error.reason ?? grpc.status[error.code];
  }
}

describe('Q30 an API key is verified in process', () => {
  test('with the rights of the key, asked for once, and then without a promise', async () => {
    const verifier = await readyVerifier();
    const { key, id } = await create();
    const before = resolutions();
    const [claims, same] = await Promise.all([verifier.verify(key), verifier.verify(key)]);
    expect(claims).toMatchObject({
      subject: bobId,
      subjectType: 'user',
      sessionId: null,
      tokenId: id,
      credentialKind: 'api-key',
      roles: ['reader'],
      audience: ['postern'],
      issuer: expect.stringContaining('http'),
    });
    expect(same).toBe(claims);
    expect(verifier.verify(key, { audience: 'postern', roles: ['reader'] })).toBe(claims);
    expect(await verdictOf(verifier, key, { roles: ['writer'] })).toBe('ROLE_MISSING');
    expect(await verdictOf(verifier, key, { audience: 'billing' })).toBe('TOKEN_CLAIMS_INVALID');
    expect(resolutions() - before).toBe(1);
  });

  test('its networks count by the address that the caller gives', async () => {
    const verifier = await readyVerifier();
    const { key } = await create({ allowed_networks: ['192.0.2.0/24', '127.0.0.0/8'] });
    const verdicts = ['192.0.2.7', '192.0.2.7:4711', '198.51.100.7', '127.0.0.1', 'unknown', null, undefined];
    expect(
      await Promise.all(verdicts.map((clientAddress) => verdictOf(verifier, key, { clientAddress }))),
    ).toEqual(['good', 'good', ...Array<string>(5).fill('API_KEY_INVALID')]);
    expect(await verdictOf(verifier, key)).toBe('API_KEY_INVALID');
    expect(() => verifier.verify(key, { clientAddress: 7 as unknown as string })).toThrow(/clientAddress/);
  });

  test('junk causes no call, and an unknown key one call', async () => {
    const verifier = await readyVerifier();
    const before = resolutions();
    const { key } = await create();
    for (const junk of ['pak_', 'pak_x', `${key}x`, key.slice(0, -1)])
      expect(await verdictOf(verifier, junk)).toBe('API_KEY_INVALID');
    expect(resolutions() - before).toBe(0);
    const unknown = unknownKey();
    for (let time = 0; time < 3; time += 1)
      expect(await verdictOf(verifier, unknown)).toBe('API_KEY_INVALID');
    await until(() => resolutions() - before === 1, 'the call is in the log');
    expect(service.logLines.join()).not.toContain(unknown);
  });

  test('a key set alone verifies no API key, and says why', async () => {
    const verifier = createVerifier({
      trust: {
        jwksUrl: `${service.httpUrl}/.well-known/jwks.json`,
        issuer: 'http://127.0.0.1:8080',
        audiences: ['postern'],
      },
    });
    verifiers.push(verifier);
    const { key } = await create();
    expect(() => verifier.verify(key)).toThrow(/jwksUrl.*cannot verify API keys/);
    expect(await verdictOf(verifier, key)).toBe('API_KEY_INVALID');
  });
});

describe('Q31 what ends a key ends it at every verifier', () => {
  test('revocation, at two verifiers', async () => {
    const two = [await readyVerifier(), await readyVerifier()];
    const { key, id } = await create();
    for (const verifier of two) expect(await verdictOf(verifier, key)).toBe('good');
    await revoke(id);
    for (const verifier of two)
      await until(async () => (await verdictOf(verifier, key)) === 'API_KEY_INVALID', 'the key has ended');
    const before = resolutions();
    for (const verifier of two) expect(await verdictOf(verifier, key)).toBe('API_KEY_INVALID');
    expect(resolutions()).toBe(before);
  });

  test('a role that the owner loses', async () => {
    const verifier = await readyVerifier();
    const { key } = await create({ roles: ['writer'] });
    expect(await verdictOf(verifier, key, { roles: ['writer'] })).toBe('good');
    const root = await service.addUser('root@example.com', bob.password, ['admin']);
    expect(root).not.toBe('');
    const authorization = `Bearer ${await service.tokenOf('root@example.com', bob.password)}`;
    const update = (roles: string[]) =>
      service.call(
        'postern.v1.AdminService/UpdateUser',
        { user_id: bobId, roles: { roles } },
        { authorization },
      );
    expect((await update(['reader'])).message).toBe('');
    await until(
      async () => (await verdictOf(verifier, key, { roles: ['writer'] })) === 'ROLE_MISSING',
      'the role is gone',
    );
    expect(await verdictOf(verifier, key)).toBe('good');
    await update(['reader', 'writer']);
    asBob = `Bearer ${await service.tokenOf(bob.email, bob.password)}`;
  });

  test('rotation: both keys within the overlap', async () => {
    const verifier = await readyVerifier();
    const { key, id } = await create();
    expect(await verdictOf(verifier, key)).toBe('good');
    const { response } = await service.call(
      'postern.v1.AuthService/RotateApiKey',
      { id, overlap: 3_600 },
      { authorization: asBob },
    );
    const next = String(response?.['secret']);
    expect([await verdictOf(verifier, key), await verdictOf(verifier, next)]).toEqual(['good', 'good']);
    const rotated = (response?.['api_key'] as Message)['id'];
    await revoke(id);
    await until(async () => (await verdictOf(verifier, key)) === 'API_KEY_INVALID', 'the old key has ended');
    const claims = await verifier.verify(next);
    expect(claims.tokenId).toBe(rotated);
  });
});

test('Q32 without the service a remembered key is accepted until the revocations are too old, and no other one', async () => {
  const other = await startTestService(settings, database);
  const verifier = await readyVerifier(other, { maxStalenessMs: 2_000 });
  const [{ key }, { key: unseen }] = [await create(), await create()];
  expect(await verdictOf(verifier, key)).toBe('good');
  await other.stop();
  expect([await verdictOf(verifier, key), await verdictOf(verifier, unseen)]).toEqual([
    'good',
    'TRUST_STALE',
  ]);
  await until(async () => (await verdictOf(verifier, key)) === 'TRUST_STALE', 'the revocations are too old');
});

const text = {
  requestStream: false,
  responseStream: false,
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
} as const;

describe('Q33 the guards accept keys, and take the address of the connection', () => {
  async function callThrough(options: Partial<AuthInterceptorOptions>, key: string): Promise<string> {
    const server = new grpc.Server({
      interceptors: [authInterceptor({ verifier: await readyVerifier(), ...options })],
    });
    server.addService(
      { Say: { path: '/t.T/Say', ...text } },
      {
        Say: (call: grpc.ServerUnaryCall<string, string>, answer: grpc.sendUnaryData<string>) =>
          answer(null, callerOf(call)?.credentialKind ?? 'nobody'),
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${key}`);
    const answer = await new Promise<string>((resolve) =>
      client.makeUnaryRequest(
        '/t.T/Say',
        text.requestSerialize,
        text.responseDeserialize,
        'x',
        metadata,
        (error, said) => resolve(error ? (reasonOf(error.metadata) ?? error.details) : String(said)),
      ),
    );
    client.close();
    server.forceShutdown();
    return answer;
  }

  test('authInterceptor', async () => {
    const [{ key }, { key: limited }] = [
      await create(),
      await create({ allowed_networks: ['192.0.2.0/24', '127.0.0.0/8'] }),
    ];
    expect(await callThrough({}, key)).toBe('api-key');
    expect(await callThrough({ otherwise: { roles: ['writer'] } }, key)).toBe('ROLE_MISSING');
    // The address of this machine is that of any proxy on it, and stands for nobody.
    expect(await callThrough({}, limited)).toBe('API_KEY_INVALID');
    expect(await callThrough({ clientAddress: () => '192.0.2.1' }, limited)).toBe('api-key');
    const seen: string[] = [];
    const clientAddress = ({ peer }: { peer: string }) => {
      seen.push(peer);
      return null;
    };
    expect(await callThrough({ clientAddress }, limited)).toBe('API_KEY_INVALID');
    expect(seen).toEqual([expect.stringMatching(/^127\.0\.0\.1:\d+$/)]);
  });

  test('authenticateRequest, requireToken and requireTokenHook', async () => {
    const verifier = await readyVerifier();
    const { key } = await create({ allowed_networks: ['192.0.2.0/24'] });
    const headers = { authorization: `Bearer ${key}` };
    expect(await authenticateRequest(verifier, headers, { clientAddress: '192.0.2.1' })).toMatchObject({
      ok: true,
      caller: { credentialKind: 'api-key' },
    });
    expect(await authenticateRequest(verifier, headers)).toMatchObject({
      ok: false,
      refusal: { status: 401, body: expect.stringContaining('API_KEY_INVALID') },
    });

    const middleware = requireToken(verifier);
    const statusFor = async (ip: string | undefined): Promise<number> => {
      const web = createServer((request, response) =>
        middleware(Object.assign(request, { ip }), response, () => response.end()),
      );
      await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
      const { port } = web.address() as AddressInfo;
      const { status } = await fetch(`http://127.0.0.1:${port}/`, { headers });
      web.closeAllConnections();
      web.close();
      return status;
    };
    expect([
      await statusFor('192.0.2.1'),
      await statusFor('198.51.100.1'),
      await statusFor(undefined),
    ]).toEqual([200, 401, 401]);

    const hook = requireTokenHook(verifier);
    const codes: number[] = [];
    const reply = { code: (code: number) => codes.push(code), headers: () => reply, send: () => reply };
    const raw = { headers, socket: { remoteAddress: '192.0.2.1' } };
    expect(await hook({ raw, ip: '192.0.2.1' }, reply)).toBeUndefined();
    expect(await hook({ raw }, reply)).toBeUndefined();
    expect(await hook({ raw, ip: '198.51.100.1' }, reply)).toBe(reply);
    expect(codes).toEqual([401]);
  });
});
