import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { AccessTokenIssuer } from '../../../src/features/sessions/access-token-issuer.ts';
import { issueServiceToken } from '../../../src/features/service-accounts/issue-service-token.ts';
import {
  lockServiceAccount,
  replaceServiceSecret,
} from '../../../src/features/service-accounts/service-account-queries.ts';
import { TrustBundle } from '../../../src/trust/trust-bundle.ts';
import { openAdminFixture, type AdminFixture } from '../../support/admin-fixture.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { untilBlocked } from '../../support/until-blocked.ts';
import { type Outcome, startTestService, type TestService } from '../../support/test-service.ts';

let database: TestDatabase;
let service: TestService;
let second: TestService;
let fixture: AdminFixture;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({ POSTERN_AUDIENCE: 'postern,other' }, database);
  second = await startTestService({ POSTERN_AUDIENCE: 'postern,other' }, database);
  fixture = await openAdminFixture(database);
});
afterAll(async () => {
  await service.stop();
  await second.stop();
  await database.drop();
});

const issue = (client_id: string, client_secret: string, audience = '') =>
  service.call('postern.v1.AuthService/IssueServiceToken', { client_id, client_secret, audience });
async function tokenOf({ id, secret }: { id: string; secret: string }): Promise<string> {
  const { response, message } = await issue(id, secret);
  if (!response) throw new Error(message);
  return String(response['access_token']);
}
const verdict = async (token: string, at = service) => {
  const { code, reason } = await at.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  return code === status.OK ? 'good' : reason;
};
/** Repeats until the verdict is the expected one, for as long as a revocation may take to arrive. */
async function becomes(expected: string, token: string, at: TestService): Promise<void> {
  const untilMs = Date.now() + 60_000;
  while ((await verdict(token, at)) !== expected && Date.now() < untilMs);
  expect(await verdict(token, at)).toBe(expected);
}
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

test('T26 a service token contains its account and roles, and no session', async () => {
  const account = await fixture.createService('billing', ['reader', 'auditor']);
  expect(account.secret).toMatch(/^psk_[0-9A-Za-z]{49}$/);
  const { response } = await issue(account.id, account.secret);
  expect(response).toMatchObject({
    token_type: 'bearer',
    expires_in: 600,
    refresh_token: '',
    refresh_expires_in: 0,
    session_id: '',
    user_id: '',
  });
  const token = String(response?.['access_token']);
  const claims = claimsOf(token);
  expect(Object.keys(claims).sort()).toEqual(
    ['aud', 'client_id', 'exp', 'iat', 'iss', 'jti', 'name', 'roles', 'sub'].sort(),
  );
  expect(claims).toMatchObject({
    sub: account.id,
    client_id: account.id,
    aud: 'postern',
    roles: ['auditor', 'reader'],
  });
  const verified = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  expect(verified.response).toMatchObject({
    subject: account.id,
    subject_type: 'SERVICE',
    session_id: '',
    token_id: claims['jti'],
  });
  expect(
    claimsOf(String((await issue(account.id, account.secret, 'other')).response?.['access_token'])),
  ).toMatchObject({
    aud: 'other',
  });
  expect((await issue(account.id, account.secret, 'nobody')).reason).toBe('FIELD_INVALID');
});

describe('every failure gets a byte-identical answer', () => {
  const shapeOf = ({ code, message, reason, trailers }: Outcome) => {
    const details = trailers
      .get('grpc-status-details-bin')
      .map((bytes) => Buffer.from(bytes).toString('hex'));
    return { code, message, reason, details };
  };
  test('malformed ids and secrets, unknown ids, and the secret of another account', async () => {
    const account = await fixture.createService('matrix');
    const other = await fixture.createService('matrix-other');
    const gone = await fixture.createService('matrix-gone');
    await fixture.deleteService(gone.id);
    const { id, secret } = account;
    const flipped = secret.slice(0, 10) + (secret[10] === 'a' ? 'b' : 'a') + secret.slice(11);
    const pairs: [string, string][] = [
      [id, other.secret],
      [other.id, secret],
      [gone.id, gone.secret],
      ['01890000-0000-7000-8000-000000000000', secret],
      [id, ''],
      ['', secret],
      ['', ''],
      ['matrix', secret],
      [id.toUpperCase(), secret],
      [`${id}\0`, secret],
      [`${id} `, secret],
      [`{${id}}`, secret],
      [id, `${secret}\0`],
      [id, `${secret} `],
      [id, flipped],
      [id, secret.toLowerCase()],
      [id, secret.replace('psk_', 'prs_')],
      [id, secret.slice(4)],
      [id, "' OR true --"],
      ["' OR true --", secret],
      [id, '\u{1f511}'.repeat(2_000)],
      [id, 'a'.repeat(60_000)],
    ];
    const answers = await Promise.all(pairs.map(([one, two]) => issue(one, two)));
    for (const answer of answers) expect(answer.reason).toBe('INVALID_CREDENTIALS');
    expect(new Set(answers.map((answer) => JSON.stringify(shapeOf(answer)))).size).toBe(1);
    expect((await issue(id, secret)).code).toBe(status.OK);
  });
});

test('two secrets are valid during a rotation, and only those two', async () => {
  const { id, secret: first } = await fixture.createService('rotating');
  const second = await fixture.rotate(id, 3_600);
  const answersOf = async (...secrets: string[]) =>
    Promise.all(secrets.map(async (secret) => (await issue(id, secret)).reason ?? 'good'));
  expect(await answersOf(first, second)).toEqual(['good', 'good']);
  const third = await fixture.rotate(id, 3_600);
  expect(await answersOf(first, second, third)).toEqual(['INVALID_CREDENTIALS', 'good', 'good']);
  await database.query(
    `UPDATE service_accounts SET previous_until = now() - interval '1 second' WHERE id = $1`,
    [id],
  );
  expect(await answersOf(second, third)).toEqual(['INVALID_CREDENTIALS', 'good']);
});

test('a rotation with an overlap keeps tokens valid; one without revokes them and the old secret', async () => {
  const account = await fixture.createService('leaked');
  const token = await tokenOf(account);
  const next = await fixture.rotate(account.id, 60);
  expect(await verdict(token)).toBe('good');
  const last = await fixture.rotate(account.id, 0);
  await becomes('TOKEN_REVOKED', token, service);
  await becomes('TOKEN_REVOKED', token, second);
  expect((await issue(account.id, account.secret)).reason).toBe('INVALID_CREDENTIALS');
  expect((await issue(account.id, next)).reason).toBe('INVALID_CREDENTIALS');
  expect(await verdict(await tokenOf({ id: account.id, secret: last }))).toBe('good');
});

test('S12 deleting a service account revokes its tokens on every instance, and no others', async () => {
  const account = await fixture.createService('doomed');
  const neighbour = await tokenOf(await fixture.createService('neighbour'));
  const tokens = await Promise.all(Array.from({ length: 5 }, () => tokenOf(account)));
  for (const token of tokens) expect(await verdict(token, second)).toBe('good');
  await fixture.deleteService(account.id);
  for (const token of tokens) {
    await becomes('TOKEN_REVOKED', token, second);
    await becomes('TOKEN_REVOKED', token, service);
  }
  expect(await verdict(neighbour, second)).toBe('good');
  expect((await issue(account.id, account.secret)).reason).toBe('INVALID_CREDENTIALS');
});

test('S12 no token survives a deletion concurrent with its issue', async () => {
  for (let round = 0; round < 5; round += 1) {
    const account = await fixture.createService(`raced-${round}`);
    const issues = Array.from({ length: 8 }, () => issue(account.id, account.secret));
    await issues[round];
    await fixture.deleteService(account.id);
    for (const { response, reason } of await Promise.all(issues)) {
      if (response) await becomes('TOKEN_REVOKED', String(response['access_token']), second);
      else expect(reason).toBe('INVALID_CREDENTIALS');
    }
  }
});

test('no token is issued for a secret that expires during the call', async () => {
  const { id, secret } = await fixture.createService('overtaken');
  const { digests } = fixture;
  const issued = await database.database.transaction(testCall(), async (trx) => {
    await lockServiceAccount(trx, { id });
    await replaceServiceSecret(trx, {
      id,
      secretDigest: digests.ofServiceSecret('the next'),
      overlapSeconds: 0,
    });
    const answer = issue(id, secret);
    await untilBlocked(database, answer);
    return { answer };
  });
  expect((await issued.answer).reason).toBe('INVALID_CREDENTIALS');
});

test('S11 a service can revoke its own token, which revokes no other', async () => {
  const account = await fixture.createService('leaving');
  const [one, other] = [await tokenOf(account), await tokenOf(account)];
  await service.call('postern.v1.AuthService/RevokeToken', { token: one, all_sessions: true });
  expect([await verdict(one), await verdict(other)]).toEqual(['TOKEN_REVOKED', 'good']);
});

test('the number of valid tokens of one service is bounded', async () => {
  const account = await fixture.createService('greedy');
  const oldest = await tokenOf(account);
  await database.query(
    `UPDATE service_tokens SET expires_at = now() + interval '1 minute' WHERE account_id = $1`,
    [account.id],
  );
  await database.query(
    `INSERT INTO service_tokens SELECT 'filler-' || n, $1, now() + interval '5 minutes' FROM generate_series(1, 10000) n`,
    [account.id],
  );
  const newest = await tokenOf(account);
  expect([await verdict(oldest), await verdict(newest)]).toEqual(['TOKEN_REVOKED', 'good']);
  const held = () =>
    database.query('SELECT count(*)::int FROM service_tokens WHERE account_id = $1', [account.id]);
  expect(await held()).toEqual([{ count: 10_000 }]);

  // Cancelling while a token is being recorded does not exceed the bound.
  const left = new AbortController();
  const issuer = new AccessTokenIssuer({
    issuer: 'https://postern.example',
    audiences: () => ['postern'],
    lifetimeSeconds: 600,
    signer: () => null,
    nowMs: Date.now,
  });
  const dependencies = {
    ...fixture,
    database: database.database,
    issuer,
    trust: new TrustBundle(),
    issuerName: 'https://postern.example',
    nowMs: Date.now,
  };
  const request = { clientId: account.id, clientSecret: account.secret, clientAssertion: '', audience: '' };
  const { answered } = await database.database.transaction(testCall(), async (trx) => {
    await lockServiceAccount(trx, { id: account.id });
    const call = { ...testCall(), signal: left.signal };
    const issued = issueServiceToken(dependencies, request, call);
    await untilBlocked(
      database,
      issued.catch(() => undefined),
    );
    left.abort();
    // Without a key nothing is signed; signing comes after everything that this test checks.
    return { answered: expect(issued).rejects.toMatchObject({ rejection: { kind: 'trust-stale' } }) };
  });
  await answered;
  expect(await held()).toEqual([{ count: 10_000 }]);
  await fixture.deleteService(account.id);
  await becomes('TOKEN_REVOKED', newest, service);
});

test('issuing a token and every change of an account are audited, without the secret', async () => {
  const account = await fixture.createService('audited');
  const { jti } = claimsOf(await tokenOf(account)) as { jti: string };
  const next = await fixture.rotate(account.id, 60);
  await fixture.deleteService(account.id);
  const rows = await database.query(
    `SELECT action, actor_type, target_id FROM audit_events WHERE target_id = $1 OR actor_id = $1 ORDER BY id`,
    [account.id],
  );
  expect(rows.map(({ action, actor_type }) => [action, actor_type])).toEqual([
    ['service.create', 'operator'],
    ['service.token', 'service'],
    ['service.rotate', 'operator'],
    ['service.delete', 'operator'],
  ]);
  expect(rows[1]?.['target_id']).toBe(jti);
  expect(next).not.toBe(account.secret);
});
