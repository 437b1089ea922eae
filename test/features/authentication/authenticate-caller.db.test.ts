import { randomBytes, randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { type Authentication, UNKNOWN_AUTHENTICATION } from '../../../src/domain/claims/authentication.ts';
import type { AccessClass } from '../../../src/domain/caller.ts';
import { Rejected } from '../../../src/domain/rejection.ts';
import { Secret } from '../../../src/domain/secret.ts';
import { AccessTokenIssuer } from '../../../src/features/sessions/access-token-issuer.ts';
import { authenticateCaller } from '../../../src/features/authentication/authenticate-caller.ts';
import { createKeyRing } from '../../../src/tokens/verify/key-ring.ts';
import { createSharedSecretSigner, importSharedSecret } from '../../../src/tokens/issue/shared-secret-key.ts';
import { TokenVerifier } from '../../../src/tokens/verify/token-verifier.ts';
import { TrustBundle } from '../../../src/trust/trust-bundle.ts';
import { openAdminFixture, type AdminFixture } from '../../support/admin-fixture.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const issuerName = 'http://127.0.0.1:8080';
let database: TestDatabase;
let fixture: AdminFixture;
let issuer: AccessTokenIssuer;
let verifier: TokenVerifier;
const trust = new TrustBundle();

beforeAll(async () => {
  database = await createTestDatabase();
  fixture = await openAdminFixture(database);
  const sharedSecret = importSharedSecret(new Secret(randomBytes(32).toString('hex')));
  const signer = createSharedSecretSigner(sharedSecret);
  issuer = new AccessTokenIssuer({
    issuer: issuerName,
    audiences: () => ['postern', 'shop'],
    lifetimeSeconds: 600,
    signer: () => signer,
    nowMs: Date.now,
  });
  const policy = {
    issuer: issuerName,
    audiences: ['postern', 'shop'],
    maxLifetimeSeconds: 600,
    skewSeconds: 5,
  } as const;
  verifier = new TokenVerifier({
    trust,
    policy: () => policy,
    sharedSecret,
    legacyHs256: null,
    cache: null,
    nowMs: Date.now,
  });
  trust.replaceKeys(createKeyRing([]));
  trust.applyUpdates({ revocations: [], cursor: 0n, complete: true, readAtMs: performance.now() });
});
afterAll(() => database.drop());

async function answer(
  token: string,
  access: Exclude<AccessClass, 'public'>,
  secondFactorRoles: readonly string[] = [],
): Promise<string> {
  const dependencies = {
    verifier,
    trust,
    maxStalenessMs: 600_000,
    nowMs: Date.now,
    database: database.database,
    apiAudience: 'postern',
    secondFactorRoles,
  };
  try {
    const caller = await authenticateCaller(dependencies, { token, access }, testCall());
    return `${caller.type} ${caller.roles.join(',')}`.trim();
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    const { rejection } = error;
    return rejection.kind === 'token-refused' ? rejection.refusal.reason : rejection.kind;
  }
}

async function userToken(roles: string[], audience = 'postern'): Promise<{ id: string; token: string }> {
  const id = randomUUID();
  await database.query('INSERT INTO users (id, email, roles) VALUES ($1, $2, $3)', [
    id,
    `${id}@example.com`,
    roles,
  ]);
  const { token } = await issuer.issueToUser({
    userId: id,
    sessionId: randomUUID(),
    externalId: null,
    roles,
    audience,
    authentication: UNKNOWN_AUTHENTICATION,
  });
  return { id, token };
}

async function serviceToken(roles: string[], audience = 'postern'): Promise<{ id: string; token: string }> {
  const { id } = await fixture.createService(`service-${randomUUID()}`, roles);
  const tokenId = randomUUID();
  const { token } = await issuer.issueToService({ accountId: id, name: 'shop', roles, audience, tokenId });
  return { id, token };
}

test('A02 each kind of caller gets the verdict of each access class', async () => {
  const callers = {
    garbage: 'junk',
    'admin user elsewhere': (await userToken(['admin'], 'shop')).token,
    'admin service elsewhere': (await serviceToken(['admin'], 'shop')).token,
    user: (await userToken([])).token,
    'admin user': (await userToken(['admin'])).token,
    service: (await serviceToken(['reader'])).token,
    'admin service': (await serviceToken(['admin'])).token,
  };
  const answers: Record<string, string[]> = {};
  for (const [name, token] of Object.entries(callers)) {
    answers[name] = [
      await answer(token, 'user'),
      await answer(token, 'service'),
      await answer(token, 'admin'),
    ];
  }
  expect(answers).toEqual({
    garbage: ['TOKEN_MALFORMED', 'TOKEN_MALFORMED', 'TOKEN_MALFORMED'],
    'admin user elsewhere': ['TOKEN_CLAIMS_INVALID', 'TOKEN_CLAIMS_INVALID', 'TOKEN_CLAIMS_INVALID'],
    'admin service elsewhere': ['TOKEN_CLAIMS_INVALID', 'TOKEN_CLAIMS_INVALID', 'TOKEN_CLAIMS_INVALID'],
    user: ['user', 'service-required', 'admin-required'],
    'admin user': ['user admin', 'service-required', 'user admin'],
    service: ['TOKEN_CLAIMS_INVALID', 'service reader', 'admin-required'],
    'admin service': ['TOKEN_CLAIMS_INVALID', 'service admin', 'service admin'],
  });
});

test('A03 a removed admin role takes effect at once, whatever the token says', async () => {
  for (const { id, token } of [await userToken(['admin']), await serviceToken(['admin'])]) {
    expect(await answer(token, 'admin')).toMatch(/ admin$/);
    await database.query(`UPDATE users SET roles = '{}' WHERE id = $1`, [id]);
    await database.query(`UPDATE service_accounts SET roles = '{}' WHERE id = $1`, [id]);
    expect(await answer(token, 'admin')).toBe('admin-required');
  }
});

test('G05 an added role counts when the token contains it as well', async () => {
  const { id, token } = await serviceToken([]);
  await database.query(`UPDATE service_accounts SET roles = '{admin}' WHERE id = $1`, [id]);
  expect(await answer(token, 'admin')).toBe('admin-required');
  const newer = await issuer.issueToService({
    accountId: id,
    name: 'shop',
    roles: ['admin'],
    audience: 'postern',
    tokenId: randomUUID(),
  });
  expect(await answer(newer.token, 'admin')).toBe('service admin');
});

test('A03 deleted and disabled users lose administration even without a revocation', async () => {
  const service = await serviceToken(['admin']);
  await database.query('DELETE FROM service_accounts WHERE id = $1', [service.id]);
  const user = await userToken(['admin']);
  await database.query('UPDATE users SET disabled_at = now() WHERE id = $1', [user.id]);
  expect([await answer(service.token, 'admin'), await answer(user.token, 'admin')]).toEqual([
    'admin-required',
    'admin-required',
  ]);
});

test('A04 a user with the id of a service account has none of its roles', async () => {
  const { id } = await serviceToken(['admin']);
  const { token } = await issuer.issueToUser({
    userId: id,
    sessionId: randomUUID(),
    externalId: null,
    roles: ['admin'],
    audience: 'postern',
    authentication: UNKNOWN_AUTHENTICATION,
  });
  expect(await answer(token, 'admin')).toBe('admin-required');
});

describe('M33 where the role admin needs a second factor', () => {
  const aal2: Authentication = { acr: 'aal2', amr: ['pwd', 'otp'], authenticatedAtSeconds: 1_800_000_000 };
  const aal1: Authentication = { acr: 'aal1', amr: ['pwd'], authenticatedAtSeconds: 1_800_000_000 };
  const policy = ['operator', 'admin'];

  async function admin(): Promise<string> {
    return (await userToken(['admin'])).id;
  }
  async function own(userId: string, roles: string[], authentication: Authentication): Promise<string> {
    const user = { userId, sessionId: randomUUID(), externalId: null, roles, audience: 'postern' };
    return (await issuer.issueToUser({ ...user, authentication })).token;
  }
  async function derived(subject: string, roles: string[], authentication: Authentication | null) {
    const now = Math.floor(Date.now() / 1000);
    const { token } = await issuer.issueDerived({
      subject,
      sessionId: randomUUID(),
      clientId: 'exchange',
      externalId: null,
      roles,
      audience: 'postern',
      tokenId: randomUUID(),
      issuedAtSeconds: now,
      lifetimeSeconds: 60,
      authentication,
    });
    return token;
  }

  test('an administrator below aal2 is asked to step up, with and without the role in the token', async () => {
    const id = await admin();
    expect(await answer(await own(id, ['admin'], aal1), 'admin', policy)).toBe('step-up-required');
    expect(await answer(await own(id, [], aal1), 'admin', policy)).toBe('step-up-required');
    expect(await answer(await own(id, ['admin'], UNKNOWN_AUTHENTICATION), 'admin', policy)).toBe(
      'step-up-required',
    );
    expect(await answer(await own(id, ['admin'], aal2), 'admin', policy)).toBe('user admin');
    expect(await answer(await own(id, ['admin'], aal1), 'admin', ['operator'])).toBe('user admin');
  });

  test('nobody else is: who is no administrator learns nothing', async () => {
    const { id } = await userToken([]);
    expect(await answer(await own(id, [], aal1), 'admin', policy)).toBe('admin-required');
    expect(await answer(await own(id, ['admin'], aal1), 'admin', policy)).toBe('admin-required');
    await database.query(`UPDATE users SET roles = '{admin}', disabled_at = now() WHERE id = $1`, [id]);
    expect(await answer(await own(id, [], aal1), 'admin', policy)).toBe('admin-required');
  });

  test('a derived token below aal2 has no administration, with the role in it as well', async () => {
    const id = await admin();
    for (const authentication of [aal1, null])
      expect(await answer(await derived(id, ['admin'], authentication), 'admin', policy)).toBe(
        'admin-required',
      );
    expect(await answer(await derived(id, ['admin'], aal2), 'admin', policy)).toBe('user admin');
    expect(await answer(await derived(id, [], aal2), 'admin', policy)).toBe('admin-required');
  });

  test('service accounts are exempt', async () => {
    expect(await answer((await serviceToken(['admin'])).token, 'admin', policy)).toBe('service admin');
  });

  test('the other access classes do not change', async () => {
    const token = await own(await admin(), ['admin'], aal1);
    expect(await answer(token, 'user', policy)).toBe('user admin');
    expect(await answer((await serviceToken(['admin'])).token, 'service', policy)).toBe('service admin');
  });
});
