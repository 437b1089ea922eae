import { status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';

import {
  createVerifier,
  PosternError,
  type Verifier,
  type VerifierOptions,
} from '../../src/client/postern-client.ts';
import { until } from '../support/wait-for.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
let store: TestDatabase;
let service: TestService;
let credential: { clientId: string; clientSecret: string };
const verifiers: Verifier[] = [];
beforeAll(async () => {
  store = await createTestDatabase();
  service = await startTestService({}, store);
  await service.addUser(email, password, ['reader']);
  const { id, secret } = await (await openAdminFixture(store)).createService('verifier');
  credential = { clientId: id, clientSecret: secret };
});
afterEach(() => {
  for (const verifier of verifiers.splice(0)) verifier.close();
});
afterAll(async () => {
  await service.stop();
  await store.drop();
});

function verifierOf(at: TestService, options: Partial<VerifierOptions> = {}): Verifier {
  const verifier = createVerifier({
    trust: { upstream: { address: at.grpcAddress }, credential },
    ...options,
  });
  verifiers.push(verifier);
  return verifier;
}

async function verdictOf(verifier: Verifier, token: string, requirements = {}): Promise<string> {
  try {
    await verifier.verify(token, requirements);
    return 'good';
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return error.reason ?? status[error.code];
  }
}

const revoke = (at: TestService, token: string) => at.call('postern.v1.AuthService/RevokeToken', { token });

test('verifies in process, and refuses tokens revoked at the service', async () => {
  const verifier = verifierOf(service);
  expect(await verdictOf(verifier, 'a.b.c')).toBe('TRUST_STALE');
  expect(await verifier.ready(5_000)).toBe(true);
  const token = await service.tokenOf(email, password);
  const claims = await verifier.verify(token, { audience: 'postern', roles: ['reader'] });
  expect(claims.roles).toEqual(['reader']);
  expect(verifier.verify(token)).toBe(claims);
  expect(await verdictOf(verifier, token, { roles: ['admin'] })).toBe('ROLE_MISSING');
  expect(await verdictOf(verifier, token, { audience: 'another' })).toBe('TOKEN_CLAIMS_INVALID');
  expect(await verdictOf(verifier, `${token}x`)).not.toBe('good');
  await revoke(service, token);
  await until(async () => (await verdictOf(verifier, token)) === 'TOKEN_REVOKED', 'revoked here');
  expect(verifier.state()).toMatchObject({ status: 'ready', connected: true });
});

test('S13 keeps verifying without the service, then refuses, and resumes without missing a revocation', async () => {
  const other = await startTestService({}, store);
  const { port } = new URL(`http://${other.grpcAddress}`);
  const verifier = verifierOf(other, { maxStalenessMs: 1_500 });
  const lenient = verifierOf(other, { maxStalenessMs: 1_500, whenStale: 'accept' });
  expect(await verifier.ready(5_000)).toBe(true);
  expect(await lenient.ready(5_000)).toBe(true);
  const [kept, lost, later] = [
    await service.tokenOf(email, password),
    await service.tokenOf(email, password),
    await service.tokenOf(email, password),
  ];
  await revoke(other, lost);
  await until(async () => (await verdictOf(verifier, lost)) === 'TOKEN_REVOKED', 'revoked here');
  const stopped = other.stop();
  // At once: on a busy machine the stop may take longer than the permitted staleness.
  await until(() => !verifier.state().connected, 'disconnected');
  expect([await verdictOf(verifier, kept), await verdictOf(verifier, lost)]).toEqual([
    'good',
    'TOKEN_REVOKED',
  ]);
  await stopped;
  // Revoked at another instance while this verifier is disconnected.
  await revoke(service, later);
  await until(async () => (await verdictOf(verifier, kept)) === 'TRUST_STALE', 'stale');
  expect(verifier.state().status).toBe('stale');
  expect(await verdictOf(lenient, kept)).toBe('good');
  const again = await startTestService({ POSTERN_GRPC_LISTEN: `127.0.0.1:${port}` }, store);
  await until(async () => (await verdictOf(verifier, kept)) === 'good', 'resumed');
  expect(await verdictOf(verifier, later)).toBe('TOKEN_REVOKED');
  expect(await verdictOf(verifier, lost)).toBe('TOKEN_REVOKED');
  for (const one of verifiers.splice(0)) one.close();
  await again.stop();
});

test('a shared secret is refused with a clear message', async () => {
  const shared = await startTestService({
    POSTERN_ALGORITHM: 'HS256',
    POSTERN_SECRET: 'an-hs256-secret-of-more-than-32-bytes',
  });
  const { id, secret } = await (await openAdminFixture(shared.database)).createService('verifier');
  const events: unknown[] = [];
  const verifier = verifierOf(shared, {
    trust: {
      upstream: { address: shared.grpcAddress },
      credential: { clientId: id, clientSecret: secret },
    },
    onEvent: (event) => events.push(event),
  });
  await until(() => events.some((event) => JSON.stringify(event).includes('unusable')), 'unusable');
  const unusable = events.find((event) => (event as { kind: string }).kind === 'unusable');
  expect((unusable as { error: Error }).error.message).toContain('POSTERN_ALGORITHM=HS256');
  expect(await verdictOf(verifier, 'a.b.c')).toBe('TRUST_STALE');
  verifier.close();
  await shared.stop();
});

test('verifies with a JWKS alone, without revocation', async () => {
  const verifier = verifierOf(service, {
    trust: {
      jwksUrl: `${service.httpUrl}/.well-known/jwks.json`,
      issuer: 'http://127.0.0.1:8080',
      audiences: ['postern'],
    },
  });
  expect(await verifier.ready(5_000)).toBe(true);
  const token = await service.tokenOf(email, password);
  expect(await verdictOf(verifier, token)).toBe('good');
  await revoke(service, token);
  expect(await verdictOf(verifier, token)).toBe('good');
  expect(verifier.state().ageMs).toBeNull();
});

test('a wrong secret is reported and retried, and no token is verified meanwhile', async () => {
  const ends: status[] = [];
  const wrong = credential.clientSecret.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  const verifier = verifierOf(service, {
    trust: {
      upstream: { address: service.grpcAddress },
      credential: { ...credential, clientSecret: wrong },
    },
    onEvent: (event) => event.kind === 'disconnected' && ends.push(event.end.code),
  });
  await until(() => ends.length > 1, 'two attempts');
  expect(await verdictOf(verifier, 'a.b.c')).toBe('TRUST_STALE');
  expect(new Set(ends)).toEqual(new Set([status.UNAUTHENTICATED]));
});

test('an unreachable service is UNAVAILABLE, and a listener that throws does not stop the retries', async () => {
  const warnings = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const ends: status[] = [];
  verifierOf(service, {
    trust: { upstream: { address: '127.0.0.1:1' }, credential },
    onEvent: (event) => {
      if (event.kind === 'disconnected') ends.push(event.end.code);
      throw new Error('of the listener');
    },
  });
  await until(() => ends.length > 1, 'two attempts');
  expect(new Set(ends)).toEqual(new Set([status.UNAVAILABLE]));
  expect(warnings).toHaveBeenCalledWith(expect.stringContaining('listener'));
  warnings.mockRestore();
});

test('A02 a credential can ask for tokens with the audience of the API when it is not the first one', async () => {
  const own = await startTestService({ POSTERN_AUDIENCE: 'shop,postern', POSTERN_API_AUDIENCE: 'postern' });
  const { id, secret } = await (await openAdminFixture(own.database)).createService('verifier');
  const account = { clientId: id, clientSecret: secret };
  const upstream = { address: own.grpcAddress };
  const ends: string[] = [];
  const refused = verifierOf(own, {
    trust: { upstream, credential: account },
    onEvent: (event) => event.kind === 'disconnected' && ends.push(event.end.details),
  });
  const watching = verifierOf(own, { trust: { upstream, credential: { ...account, audience: 'postern' } } });
  expect(await watching.ready(5_000)).toBe(true);
  await until(() => ends.length > 0, 'the other one is refused with a reason');
  expect(ends[0]).toContain("audience 'postern'");
  expect(refused.state().status).toBe('waiting');
  await own.addUser(email, password);
  // It verifies tokens for any audience.
  expect(await verdictOf(watching, await own.tokenOf(email, password), { audience: 'shop' })).toBe('good');
  for (const one of verifiers.splice(0)) one.close();
  await own.stop();
});

test.each([[{ audience: '' }], [{ audience: 7 }]])('%j is no valid audience of a credential', (wrong) => {
  const upstream = { address: service.grpcAddress };
  const trust = { upstream, credential: { ...credential, ...wrong } } as VerifierOptions['trust'];
  expect(() => createVerifier({ trust })).toThrow('trust.credential.audience');
});
