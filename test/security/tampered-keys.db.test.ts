import { status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { keyFindings } from '../../src/cli/doctor/key-findings.ts';
import { loadSettings } from '../../src/config/load-settings.ts';
import { ownOrigin } from '../../src/domain/operation-call.ts';
import { type MasterKey, masterKeyOf } from '../../src/crypto/sealed-envelope.ts';
import { checkStoredKey, StoredKeyChecker } from '../../src/features/signing-keys/check-stored-keys.ts';
import { rotateSigningKey } from '../../src/features/signing-keys/rotate-signing-key.ts';
import { sealSigningKey } from '../../src/features/signing-keys/seal-signing-key.ts';
import {
  listVerifyingKeys,
  type StoredSigningKey,
} from '../../src/features/signing-keys/signing-key-queries.ts';
import { signAccessToken } from '../../src/tokens/issue/sign-access-token.ts';
import { generateSigningKey, importSigner, type SigningKeyPair } from '../../src/tokens/issue/signing-key.ts';
import { account } from '../support/account.ts';
import { until } from '../support/wait-for.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { scrape } from '../support/scrape.ts';
import { createServiceRole } from '../support/service-role.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';
import { keyPolicy } from '../support/key-policy.ts';
import { serviceEnvironment } from '../support/service-environment.ts';

const ann = { email: 'ann@example.com', password: 'correct horse battery' };
const ours = [masterKeyOf(Buffer.from(masterKey, 'base64'))];

/** A database with one retired and one active key, of which each test gets a copy. */
let prepared: TestDatabase;
let roleName: string;
let adminId: string;
let store: TestDatabase;
/** The attacker has the role of the service, not the master key. */
let writer: Client;
/** The key pair of the attacker. */
let forged: SigningKeyPair;
const running: TestService[] = [];

beforeAll(async () => {
  prepared = await createTestDatabase();
  const first = await startTestService({}, prepared);
  adminId = await first.addUser(ann.email, ann.password, ['admin']);
  await rotate(true, prepared);
  await first.stop();
  roleName = (await createServiceRole(prepared)).name;
});
afterAll(() => prepared.drop());
beforeEach(async () => {
  store = await createTestDatabase({ copyOf: prepared });
  const url = new URL(store.url);
  url.username = roleName;
  writer = new Client({ connectionString: url.href });
  await writer.connect();
  forged = await generateSigningKey('ES256');
});
afterEach(async () => {
  for (const service of running.splice(0)) await service.stop();
  await endEveryPostern();
  await writer.end();
  await store.drop();
});

async function rotate(now = true, { database } = store): Promise<string> {
  const by = { actor: { type: 'operator', id: null }, origin: ownOrigin } as const;
  const { kid } = await rotateSigningKey({ database, policy: keyPolicy, masterKeys: ours }, { now, ...by });
  return kid;
}

async function start(): Promise<TestService> {
  const service = await startTestService({}, store);
  running.push(service);
  return service;
}

/** A token for the administrator in the form of Postern, signed with the attacker's key. */
async function forgedToken(): Promise<string> {
  return signAccessToken(await importSigner(forged), {
    subject: adminId,
    sessionId: '018f0000-0000-7000-8000-000000000001',
    clientId: 'postern',
    externalId: null,
    roles: ['admin'],
    audience: 'postern',
    tokenId: 'AAAAAAAAAAAAAAAAAAAAAA',
    issuer: 'postern',
    issuedAtSeconds: Math.floor(Date.now() / 1000),
    lifetimeSeconds: 600,
  });
}

async function publishedKids(service: TestService): Promise<string[]> {
  const answer = await fetch(`${service.httpUrl}/.well-known/jwks.json`);
  return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

async function kidsOf(state: string): Promise<string[]> {
  return (await store.query('SELECT kid FROM signing_keys WHERE state = $1', [state])).map(({ kid }) =>
    String(kid),
  );
}

/** Replaces the public key of a row by the forged one. */
const overwrite = (state: string) =>
  writer.query('UPDATE signing_keys SET public_jwk = $1 WHERE state = $2', [forged.publicJwk, state]);

/** The error lines of Postern about its keys. */
function errorsOf(service: TestService): { event: string; message: string }[] {
  return service.logLines
    .map((line) => JSON.parse(line) as { level: string; event: string; cause?: { message: string } })
    .filter(({ level }) => level === 'error')
    .map(({ event, cause }) => ({ event, message: cause?.message ?? '' }));
}

const refusedKeys = async (service: TestService) =>
  (await scrape(service.httpUrl)).samples.find(({ name }) => name === 'postern_signing_keys_refused')?.value;
const ready = async (service: TestService) => (await fetch(`${service.httpUrl}/readyz`)).status;
const environment = () => ({
  ...serviceEnvironment(store.url),
});

/** Long enough for several refreshes of the keys: each tampering here notifies, and a rotation is seen after it. */
async function afterLooks(service: TestService): Promise<void> {
  const kid = await rotate(false);
  await until(async () => (await publishedKids(service)).includes(kid), 'the new key is published');
}

const kidIsNoThumbprint = `INSERT INTO signing_keys (kid, algorithm, state, public_jwk, activate_at, remove_at)
  SELECT E'x\n\x1b[31m', 'ES256', 'retired', $1, now(), now() + interval '1 day'`;

/** How a database writer may try to have his public key published. The first parameter is the forged JWK. */
const attempts: readonly (readonly [string, string])[] = [
  ['the public key of a retired row', `UPDATE signing_keys SET public_jwk = $1 WHERE state = 'retired'`],
  [
    'kid and public key of a retired row',
    `UPDATE signing_keys SET public_jwk = $1, kid = $1::jsonb->>'kid' WHERE state = 'retired'`,
  ],
  [
    'the public key under the kid of a retired row',
    `UPDATE signing_keys SET public_jwk = jsonb_set($1, '{kid}', to_jsonb(kid)) WHERE state = 'retired'`,
  ],
  [
    'a row of its own with the envelope of the active key',
    `INSERT INTO signing_keys (kid, algorithm, state, public_jwk, sealed_private_key, activate_at, remove_at)
     SELECT $1::jsonb->>'kid', 'ES256', 'retired', $1, sealed_private_key, now(), now() + interval '1 day'
     FROM signing_keys WHERE state = 'active'`,
  ],
  [
    'a row of its own without an envelope',
    `INSERT INTO signing_keys (kid, algorithm, state, public_jwk, activate_at, remove_at)
     SELECT $1::jsonb->>'kid', 'ES256', 'retired', $1, now(), now() + interval '1 day'`,
  ],
  [
    'a pending row that is due',
    `INSERT INTO signing_keys (kid, algorithm, state, public_jwk, sealed_private_key, activate_at)
     SELECT $1::jsonb->>'kid', 'ES256', 'pending', $1, sealed_private_key, now() - interval '1 minute'
     FROM signing_keys WHERE state = 'active'`,
  ],
  ['a row whose kid is no thumbprint', kidIsNoThumbprint],
];

describe('K06 a running service does not trust a key replaced by a database writer', () => {
  test.each(attempts)('%s', async (_what, statement) => {
    const service = await start();
    const { access_token: before } = await account.login(service, ann.email, ann.password);
    const [active] = await kidsOf('active');
    expect((await writer.query(statement, [forged.publicJwk])).rowCount).toBe(1);
    await until(async () => (await refusedKeys(service)) === 1, 'the row is left out');
    await afterLooks(service);

    const token = await forgedToken();
    expect(await publishedKids(service)).not.toContain(forged.kid);
    expect(await account.verdict(service, token)).toBe('TOKEN_KEY_UNKNOWN');
    const authorization = `Bearer ${token}`;
    const listed = await service.call('postern.v1.AdminService/ListUsers', {}, { authorization });
    expect(listed.code).toBe(status.UNAUTHENTICATED);
    // The other keys stay in use, and one line reports it.
    expect(await kidsOf('active')).toEqual([active]);
    expect(await ready(service)).toBe(200);
    expect(await account.verdict(service, before)).toBe('OK');
    await account.login(service, ann.email, ann.password);
    expect(errorsOf(service).map(({ event }) => event)).toEqual(['signing-key-refused']);
    const findings = await keyFindings(store.database, loadSettings(environment()), 5_000);
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'keys', verdict: 'fault', exitCode: 3 }),
    );
  });

  test('doctor ends with exit code 3, and prints no control character of a row', async () => {
    await writer.query(kidIsNoThumbprint, [forged.publicJwk]);
    const doctor = await runPostern(['doctor'], { environment: environment() });
    expect(doctor.exitCode).toBe(3);
    expect(doctor.stdout).toMatch(/FAIL {2}keys .*\S/);
    expect(doctor.stdout).not.toContain('\x1b');
  });

  test('a revoked row with any other contents', async () => {
    const service = await start();
    const [kid = ''] = await kidsOf('retired');
    const [row] = await store.query('SELECT * FROM signing_keys WHERE kid = $1', [kid]);
    await until(async () => (await publishedKids(service)).includes(kid), 'the key is published');
    await store.query(`UPDATE signing_keys SET state = 'revoked' WHERE kid = $1`, [kid]);
    await afterLooks(service);
    expect(row?.['sealed_private_key']).not.toBeNull();
    expect(await publishedKids(service)).not.toContain(kid);
    expect([await refusedKeys(service), errorsOf(service)]).toEqual([0, []]);
  });
});

describe('K06 when the row of the active key is replaced', () => {
  test('a running service is not ready and signs nothing, verifies with its other keys, and recovers with the row', async () => {
    const service = await start();
    const { access_token: before, refresh_token: refresh } = await account.login(
      service,
      ann.email,
      ann.password,
    );
    await rotate();
    await until(async () => (await publishedKids(service)).length === 3, 'the rotation is known');
    const [{ kid, public_jwk: genuine } = {}] = await store.query(
      `SELECT kid, public_jwk FROM signing_keys WHERE state = 'active'`,
    );
    await overwrite('active');
    await until(async () => (await ready(service)) === 503, 'it is not ready');
    const login = await service.call('postern.v1.AuthService/Login', ann);
    expect([login.code, login.reason]).toEqual([status.UNAVAILABLE, 'TRUST_STALE']);
    expect(await account.refreshVerdict(service, refresh)).toBe('TRUST_STALE');
    expect(await account.verdict(service, before)).toBe('OK');
    expect(await publishedKids(service)).toEqual((await kidsOf('retired')).sort());
    expect(await kidsOf('pending')).toEqual([]);
    expect(errorsOf(service).filter(({ event }) => event !== 'call')).toEqual([
      { event: 'store-unusable', message: expect.stringContaining(String(kid)) as unknown as string },
    ]);
    await writer.query('UPDATE signing_keys SET public_jwk = $1 WHERE kid = $2', [genuine, kid]);
    await until(async () => (await ready(service)) === 200, 'it is ready again');
    await account.login(service, ann.email, ann.password);
  });

  test('and there is no other key, tokens are not judged, and no empty set is published', async () => {
    await writer.query(`DELETE FROM signing_keys WHERE state = 'retired'`);
    const service = await start();
    const { access_token: token } = await account.login(service, ann.email, ann.password);
    await overwrite('active');
    await until(async () => (await ready(service)) === 503, 'it is not ready');
    expect(await account.verdict(service, token)).toBe('TRUST_STALE');
    expect(await account.verdict(service, await forgedToken())).toBe('TRUST_STALE');
  });
});

describe('K06 a start', () => {
  const rows = () => store.query('SELECT * FROM signing_keys ORDER BY kid');

  test.each(attempts)('fails and writes nothing with %s', async (_what, statement) => {
    await writer.query(statement, [forged.publicJwk]);
    const before = await rows();
    await expect(start()).rejects.toThrow(/key/);
    expect(await rows()).toEqual(before);
  });

  test('ends with exit code 3, and revoking the key lets it start', async () => {
    await overwrite('retired');
    const end = await runPostern(['serve'], { environment: environment() });
    expect(end.exitCode).toBe(3);
    const [kid = ''] = await kidsOf('retired');
    expect(end.stderr).toContain(kid);
    expect(end.stderr).toContain('postern key revoke');
    const revoke = await runPostern(['key', 'revoke', kid], { environment: environment() });
    expect(revoke.exitCode).toBe(0);
    const service = await start();
    await account.login(service, ann.email, ann.password);
  });
});

test('K06 an envelope whose private key belongs to another public key is refused', async () => {
  const { publicJwk, kid } = await generateSigningKey('ES256');
  const sealedPrivateKey = sealSigningKey({ ...forged, kid }, ours[0] as MasterKey);
  const row = { kid, publicJwk, algorithm: 'ES256', sealedPrivateKey } as unknown as StoredSigningKey;
  await expect(checkStoredKey(row, ours)).rejects.toThrow('does not match its private key');
});

test('K06 unchanged keys are not opened again', async () => {
  const checks = new StoredKeyChecker(ours);
  const stored = await store.database.unlimited((trx) => listVerifyingKeys(trx));
  const { trusted } = await checks.checkAll(stored);
  const again = await checks.checkAll(await store.database.unlimited((trx) => listVerifyingKeys(trx)));
  expect(again.trusted.map(({ verificationKey }) => verificationKey)).toEqual(
    trusted.map(({ verificationKey }) => verificationKey),
  );
  for (const [index, { verificationKey }] of again.trusted.entries())
    expect(verificationKey).toBe(trusted[index]?.verificationKey);
  expect(trusted).toHaveLength(2);
});
