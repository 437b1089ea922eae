import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { lockServiceAccount } from '../../../src/features/service-accounts/service-account-queries.ts';
import { deleteServiceKeyRow } from '../../../src/features/service-accounts/keys/service-key-queries.ts';
import { purgeExpired } from '../../../src/features/maintenance/purge-expired.ts';
import { account, verdictOf } from '../../support/account.ts';
import { openAdminFixture, type AdminFixture } from '../../support/admin-fixture.ts';
import {
  type AssertionParts,
  type ClientKey,
  makeAssertion,
  makeClientKey,
} from '../../support/client-assertion.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { type Outcome, startTestService, type TestService } from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';

const issuer = 'https://postern.example';
const admin = { email: 'ann@example.com', password: 'correct horse battery' };

let database: TestDatabase;
let service: TestService;
let second: TestService;
let fixture: AdminFixture;
let authorization: string;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({ POSTERN_ISSUER: issuer }, database);
  second = await startTestService({ POSTERN_ISSUER: issuer }, database);
  fixture = await openAdminFixture(database);
  await service.addUser(admin.email, admin.password, ['admin']);
  authorization = `Bearer ${await service.tokenOf(admin.email, admin.password)}`;
});
afterAll(async () => {
  await service.stop();
  await second.stop();
  await database.drop();
});

interface KeyedAccount {
  readonly id: string;
  readonly secret: string;
  readonly key: ClientKey;
  readonly kid: string;
}
let made = 0;
async function accountWithKey(algorithm: ClientKey['algorithm'] = 'ES256'): Promise<KeyedAccount> {
  const { id, secret } = await fixture.createService(`keyed-${(made += 1)}`, ['reader']);
  const key = makeClientKey(algorithm);
  return { id, secret, key, kid: await fixture.addKey(id, key.publicJwk) };
}
const assertionOf = ({ id, key }: KeyedAccount, parts: Partial<AssertionParts> = {}) =>
  makeAssertion(key, { clientId: id, issuer, ...parts });
const issue = (client_assertion: string, others: Record<string, string> = {}, at = service) =>
  at.call('postern.v1.AuthService/IssueServiceToken', { client_assertion, ...others });
const administer = (method: string, request: Record<string, unknown>) =>
  service.call(`postern.v1.AdminService/${method}`, request, { authorization });
async function becomes(expected: string, token: string): Promise<void> {
  const untilMs = Date.now() + 60_000;
  while ((await account.verdict(second, token)) !== expected && Date.now() < untilMs);
  expect(await account.verdict(second, token)).toBe(expected);
}

test.each(['ES256', 'RS256', 'EdDSA'] as const)(
  'T28 an assertion signed with %s gets a token of its account, with and without client_id and kid',
  async (algorithm) => {
    const keyed = await accountWithKey(algorithm);
    const outcomes = [
      await issue(assertionOf(keyed)),
      await issue(assertionOf(keyed), { client_id: keyed.id }),
      await issue(assertionOf(keyed, { header: { kid: keyed.kid, typ: 'JWT' } })),
    ];
    expect(outcomes.map(verdictOf)).toEqual(['OK', 'OK', 'OK']);
    const access_token = String(outcomes[0]?.response?.['access_token']);
    const verified = await service.call('postern.v1.AuthService/VerifyToken', { access_token });
    expect(verified.response).toMatchObject({
      subject: keyed.id,
      subject_type: 'SERVICE',
      roles: ['reader'],
    });
  },
);

describe('T29 an assertion is accepted once', () => {
  test('on every instance, and also when it comes twice at the same moment', async () => {
    const keyed = await accountWithKey();
    const once = assertionOf(keyed);
    const racing = await Promise.all(
      Array.from({ length: 8 }, (_, index) => issue(once, {}, index % 2 === 0 ? service : second)),
    );
    expect(racing.map(verdictOf).sort()).toEqual(['OK', ...Array<string>(7).fill('TOKEN_REPLAYED')]);
    expect(verdictOf(await issue(once, {}, second))).toBe('TOKEN_REPLAYED');
    // The same jti in another assertion.
    const jti = randomUUID();
    expect(verdictOf(await issue(assertionOf(keyed, { claims: { jti } })))).toBe('OK');
    expect(verdictOf(await issue(assertionOf(keyed, { claims: { jti, exp: Date.now() / 1000 + 9 } })))).toBe(
      'TOKEN_REPLAYED',
    );
    // Another account may use the same jti.
    expect(verdictOf(await issue(assertionOf(await accountWithKey(), { claims: { jti } })))).toBe('OK');
  });

  test('a replay is audited with the account', async () => {
    const keyed = await accountWithKey();
    const once = assertionOf(keyed);
    await issue(once);
    await issue(once);
    expect(
      await database.query(
        `SELECT outcome, reason, details FROM audit_events WHERE action = 'service.token' AND (actor_id = $1 OR target_id = $1)
         ORDER BY id`,
        [keyed.id],
      ),
    ).toMatchObject([
      { outcome: 'ok', details: { kid: keyed.kid } },
      { outcome: 'refused', reason: 'TOKEN_REPLAYED' },
    ]);
  });
});

test('T28 every wrong account, key or signature gets the same answer, whatever the header says', async () => {
  const keyed = await accountWithKey();
  const other = await accountWithKey();
  const keyless = await fixture.createService('keyless');
  const two = await accountWithKey();
  await fixture.addKey(two.id, makeClientKey().publicJwk);
  const foreign = { ...keyed, key: makeClientKey() };
  const rsa = makeClientKey('RS256');
  const good = assertionOf(keyed);
  const refused = [
    assertionOf(foreign),
    assertionOf(foreign, { header: { kid: keyed.kid } }),
    assertionOf({ ...keyed, key: other.key }, { header: { kid: other.kid } }),
    assertionOf(keyed, { header: { kid: 'unknown' } }),
    assertionOf({ ...keyed, id: '01890000-0000-7000-8000-000000000000' }),
    assertionOf({ ...keyed, id: keyless.id }),
    assertionOf(two), // without a kid, of an account with two keys
    assertionOf({ ...keyed, key: rsa }),
    assertionOf({ ...keyed, key: rsa }, { header: { alg: 'ES256' } }),
    assertionOf(keyed, { header: { alg: 'none' } }),
    assertionOf(keyed, { header: { alg: 'HS256' } }),
    assertionOf(keyed, { header: { alg: 'RS256' } }),
    `${good.slice(0, good.lastIndexOf('.'))}.${Buffer.alloc(64).toString('base64url')}`,
  ];
  const outcomes = [];
  for (const assertion of refused) outcomes.push(await issue(assertion));
  const shape = ({ code, message, reason, trailers }: Outcome) =>
    JSON.stringify([code, message, reason, trailers.get('grpc-status-details-bin')]);
  expect(outcomes.map(verdictOf)).toEqual(refused.map(() => 'INVALID_CREDENTIALS'));
  expect(new Set(outcomes.map(shape)).size).toBe(1);
  // A refused assertion was not used up: with the right signature it is still accepted.
  expect(verdictOf(await issue(good))).toBe('OK');
});

test('a secret and an assertion together, or an assertion of another client, are refused', async () => {
  const keyed = await accountWithKey();
  const both = await issue(assertionOf(keyed), { client_id: keyed.id, client_secret: keyed.secret });
  expect([verdictOf(both), both.message]).toEqual([
    'FIELD_INVALID',
    expect.stringMatching(/^client_assertion: /),
  ]);
  expect(verdictOf(await issue(assertionOf(keyed), { client_id: randomUUID() }))).toBe(
    'TOKEN_CLAIMS_INVALID',
  );
  expect(verdictOf(await issue(assertionOf(keyed, { claims: { aud: [issuer] } })))).toBe(
    'TOKEN_CLAIMS_INVALID',
  );
  // An access token is no assertion.
  const { response } = await issue(assertionOf(keyed));
  expect(verdictOf(await issue(String(response?.['access_token'])))).toBe('TOKEN_TYPE_INVALID');
  for (const junk of ['x', '\0', '..', 'a'.repeat(9_000), '\u{1f511}'.repeat(9)])
    expect(verdictOf(await issue(junk))).toMatch(/^TOKEN_(MALFORMED|TOO_LARGE)$/);
});

describe('the keys of an account', () => {
  test('are added, listed and deleted by administrators, on record', async () => {
    const { id } = await fixture.createService('administered');
    const { publicJwk } = makeClientKey('EdDSA');
    const added = await administer('AddServiceKey', { client_id: id, public_jwk: publicJwk });
    expect(added.response).toMatchObject({ algorithm: 'EdDSA' });
    // Again: nothing changes.
    expect((await administer('AddServiceKey', { client_id: id, public_jwk: publicJwk })).response).toEqual(
      added.response,
    );
    const listed = await administer('ListServiceKeys', { client_id: id });
    expect(listed.response).toEqual({ service_keys: [added.response] });
    const kid = String(added.response?.['kid']);
    const gone = await administer('DeleteServiceKey', { client_id: id, kid });
    expect(gone.response).toEqual({ revoked_tokens: 0 });
    expect(verdictOf(await administer('DeleteServiceKey', { client_id: id, kid }))).toBe(
      'RESOURCE_NOT_FOUND',
    );
    const rows = await database.query(
      `SELECT action, details->>'kid' AS kid FROM audit_events WHERE target_id = $1 AND action LIKE 'service.key.%' AND outcome = 'ok'
       ORDER BY id`,
      [id],
    );
    expect(rows).toEqual([
      { action: 'service.key.add', kid },
      { action: 'service.key.delete', kid },
    ]);
  });

  test('bad requests are refused with a reason', async () => {
    const { id } = await fixture.createService('bad-requests');
    const { publicJwk, privateKey } = makeClientKey();
    const add = async (request: Record<string, string>) =>
      verdictOf(await administer('AddServiceKey', request));
    expect(await add({ client_id: 'x', public_jwk: publicJwk })).toBe('FIELD_INVALID');
    expect(await add({ client_id: randomUUID(), public_jwk: publicJwk })).toBe('RESOURCE_NOT_FOUND');
    const privateJwk = JSON.stringify(privateKey.export({ format: 'jwk' }));
    for (const public_jwk of ['', '{}', '[]', 'null', '\0\0', privateJwk, publicJwk + 'x', 'x'.repeat(5_000)])
      expect(await add({ client_id: id, public_jwk })).toBe('FIELD_INVALID');
    for (let count = 0; count < 10; count += 1)
      expect(await add({ client_id: id, public_jwk: makeClientKey('EdDSA').publicJwk })).toBe('OK');
    expect(await add({ client_id: id, public_jwk: publicJwk })).toBe('FIELD_INVALID');
    for (const kid of ['', '\0', 'x'.repeat(44), '../' + 'x'.repeat(40)])
      expect(verdictOf(await administer('DeleteServiceKey', { client_id: id, kid }))).toBe('FIELD_INVALID');
    expect(verdictOf(await administer('ListServiceKeys', { client_id: randomUUID() }))).toBe(
      'RESOURCE_NOT_FOUND',
    );
  });
});

describe('S12 deleting a key', () => {
  test('revokes the tokens that were issued for it on every instance, and no others', async () => {
    const keyed = await accountWithKey();
    const next = makeClientKey();
    const nextKid = await fixture.addKey(keyed.id, next.publicJwk);
    const tokenFor = async (assertion: string) => String((await issue(assertion)).response?.['access_token']);
    const old = await tokenFor(assertionOf(keyed, { header: { kid: keyed.kid } }));
    const kept = await tokenFor(assertionOf({ ...keyed, key: next }, { header: { kid: nextKid } }));
    const secret = { client_id: keyed.id, client_secret: keyed.secret };
    const bySecret = String((await issue('', secret)).response?.['access_token']);
    const removed = await administer('DeleteServiceKey', { client_id: keyed.id, kid: keyed.kid });
    expect(removed.response).toEqual({ revoked_tokens: 1 });
    await becomes('TOKEN_REVOKED', old);
    expect(await account.verdict(second, kept)).toBe('OK');
    expect(await account.verdict(second, bySecret)).toBe('OK');
    expect(verdictOf(await issue(assertionOf(keyed, { header: { kid: keyed.kid } })))).toBe(
      'INVALID_CREDENTIALS',
    );
    // With one key left, the kid may be absent again.
    expect(verdictOf(await issue(assertionOf({ ...keyed, key: next })))).toBe('OK');
  });

  test('leaves no token that was being issued at the same moment', async () => {
    for (let round = 0; round < 4; round += 1) {
      const keyed = await accountWithKey('EdDSA');
      const issues = Array.from({ length: 6 }, () => issue(assertionOf(keyed)));
      await issues[round];
      await fixture.deleteKey(keyed.id, keyed.kid);
      for (const { response, reason } of await Promise.all(issues)) {
        if (response) await becomes('TOKEN_REVOKED', String(response['access_token']));
        else expect(reason).toBe('INVALID_CREDENTIALS');
      }
    }
  });

  test('refuses a token whose issue waits for it', async () => {
    const keyed = await accountWithKey();
    const issued = await database.database.transaction(testCall(), async (trx) => {
      await lockServiceAccount(trx, { id: keyed.id });
      const answer = issue(assertionOf(keyed));
      await untilBlocked(database, answer);
      await deleteServiceKeyRow(trx, keyed.id, keyed.kid);
      return { answer };
    });
    expect(verdictOf(await issued.answer)).toBe('INVALID_CREDENTIALS');
  });
});

test('S16 a used assertion is forgotten once it is refused as expired everywhere, and not before', async () => {
  const insert = `INSERT INTO used_once (purpose, digest, expires_at)
    SELECT 'client-assertion', sha256(seconds::text::bytea), now() - make_interval(secs => seconds)
    FROM unnest(ARRAY[-60, 0, 120, 170, 190, 3600]) AS seconds`;
  await database.query('TRUNCATE used_once');
  await issue(assertionOf(await accountWithKey()));
  expect(await database.query('SELECT purpose, length(digest) AS bytes FROM used_once')).toEqual([
    { purpose: 'client-assertion', bytes: 32 },
  ]);
  await database.query(insert);
  await purgeExpired({ database: database.database }, { signal: new AbortController().signal });
  expect(await database.query('SELECT count(*)::int FROM used_once')).toEqual([{ count: 5 }]);
});

describe('G06 W22 what came from a token of a service ends with the proof behind it', () => {
  const exchange = async (subject_token: string, actor_token = '') => {
    const request = { subject_token, actor_token };
    const outcome = await service.call('postern.v1.AuthService/ExchangeToken', request);
    expect(verdictOf(outcome)).toBe('OK');
    return String(outcome.response?.['access_token']);
  };
  const ends: [name: string, end: (of: KeyedAccount) => Promise<Outcome>][] = [
    ['the key that leaked', ({ id, kid }) => administer('DeleteServiceKey', { client_id: id, kid })],
    [
      'the secret, without overlap',
      ({ id }) => administer('RotateServiceSecret', { client_id: id, overlap: 0 }),
    ],
  ];
  test.each(ends)('%s', async (_name, end) => {
    const keyed = await accountWithKey();
    await database.query(
      `UPDATE service_accounts SET own_audiences = '{postern}', delegation_audiences = '{postern}' WHERE id = $1`,
      [keyed.id],
    );
    const own = String((await issue(assertionOf(keyed))).response?.['access_token']);
    const narrowed = await exchange(own);
    const acted = await exchange(await service.tokenOf(admin.email, admin.password), own);
    const twice = await exchange(narrowed);
    expect(verdictOf(await end(keyed))).toBe('OK');
    for (const token of [own, narrowed, twice, acted])
      expect(await account.verdict(service, token)).toBe('TOKEN_REVOKED');
  });
});
