import { randomBytes, randomUUID } from 'node:crypto';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { SECRET_RANDOM_BYTES } from '../../../src/crypto/keyed-digests.ts';
import { uuidV7 } from '../../../src/domain/uuid.ts';
import {
  lockServiceAccount,
  replaceAccountRights,
} from '../../../src/features/service-accounts/service-account-queries.ts';
import { revokeServiceTokens } from '../../../src/features/service-accounts/service-token-queries.ts';
import { openAdminFixture, type AdminFixture, type Credentials } from '../../support/admin-fixture.ts';
import { makeAssertion, makeClientKey } from '../../support/client-assertion.ts';
import { runHere } from '../../support/run-here.ts';
import { testCall } from '../../support/test-call.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { masterKey, type Message, startTestService, type TestService } from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';
import { until } from '../../support/wait-for.ts';

const password = 'correct horse battery';
const issuer = 'https://postern.example';
const settings = { POSTERN_AUDIENCE: 'postern,orders,billing', POSTERN_ISSUER: issuer };
let database: TestDatabase;
let service: TestService;
let second: TestService;
let fixture: AdminFixture;
let admin: Record<string, string>;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(settings, database);
  second = await startTestService(settings, database);
  fixture = await openAdminFixture(database);
  await service.addUser('root@example.com', password, ['admin']);
  admin = { authorization: `Bearer ${await service.tokenOf('root@example.com', password)}` };
});
afterAll(async () => {
  await service.stop();
  await second.stop();
  await database.drop();
});

const administer = (method: string, request: Message) =>
  service.call(`postern.v1.AdminService/${method}`, request, admin);
async function create(name: string, request: Message = {}): Promise<Credentials> {
  const { response, message } = await administer('CreateServiceAccount', { name, ...request });
  if (!response) throw new Error(message);
  return { id: String(response['client_id']), secret: String(response['client_secret']) };
}
const update = (client_id: string, request: Message) =>
  administer('UpdateServiceAccount', { client_id, ...request });
const issue = ({ id, secret }: Credentials, audience = '', at = service) =>
  at.call('postern.v1.AuthService/IssueServiceToken', { client_id: id, client_secret: secret, audience });
async function tokenOf(account: Credentials, audience = ''): Promise<string> {
  const { response, message } = await issue(account, audience);
  if (!response) throw new Error(message);
  return String(response['access_token']);
}
const verdict = async (token: string, at = service) => {
  const { code, reason } = await at.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  return code === status.OK ? 'good' : reason;
};
const revokedAtBoth = (token: string) =>
  until(
    async () =>
      (await verdict(token)) === 'TOKEN_REVOKED' && (await verdict(token, second)) === 'TOKEN_REVOKED',
    'the token is revoked at both instances',
  );
/** Puts a token on record in which the account acts for somebody, as ExchangeToken does. */
async function actingToken(accountId: string): Promise<string> {
  const id = randomUUID();
  await database.query(
    `INSERT INTO service_tokens (id, actor_ids, expires_at) VALUES ($1, ARRAY[$2]::uuid[], now() + interval '5 minutes')`,
    [id, accountId],
  );
  return id;
}
const isRevoked = async (jti: string) =>
  (await database.query(`SELECT 1 FROM revocations WHERE kind = 'jti' AND id = $1`, [jti])).length === 1;

test('W21 an account may ask for the default audience when nothing else is said, and for no other', async () => {
  const account = await create('plain');
  expect(await verdict(await tokenOf(account))).toBe('good');
  expect(await verdict(await tokenOf(account, 'postern'))).toBe('good');
  const refused = await issue(account, 'billing');
  expect([refused.code, refused.reason]).toEqual([status.INVALID_ARGUMENT, 'FIELD_INVALID']);
  expect(JSON.stringify(refused.trailers.toJSON())).not.toContain(account.secret);
  // Who has not proven to be the account learns nothing of its audiences.
  expect((await issue({ ...account, secret: 'psk_wrong' }, 'billing')).reason).toBe('INVALID_CREDENTIALS');
  const rows = await database.query('SELECT count(*)::int FROM service_tokens WHERE account_id = $1', [
    account.id,
  ]);
  expect(rows).toEqual([{ count: 2 }]);
});

test('W21 an account of an earlier release may ask for every audience, and is listed with *', async () => {
  // As the release before inserts it, also beside this one.
  const id = uuidV7(Date.now(), randomBytes(16));
  const account = { id, secret: fixture.digests.makeServiceSecret(id, randomBytes(SECRET_RANDOM_BYTES)) };
  await database.query(
    `INSERT INTO service_accounts (id, name, roles, secret_digest) VALUES ($1, 'of-old', '{}', $2)`,
    [id, fixture.digests.ofServiceSecret(account.secret)],
  );
  for (const audience of ['', 'postern', 'orders', 'billing'])
    expect(await verdict(await tokenOf(account, audience))).toBe('good');
  const { response } = await administer('ListServiceAccounts', {});
  const listed = response?.['service_accounts'] as Message[];
  expect(listed.find(({ name }) => name === 'of-old')).toMatchObject({
    allowed_audiences: ['*'],
    own_audiences: [],
    delegation_audiences: [],
  });
});

test('W21 an assertion for an audience that is not allowed is not used up', async () => {
  const account = await create('with-key');
  const key = makeClientKey('ES256');
  await fixture.addKey(account.id, key.publicJwk);
  const client_assertion = makeAssertion(key, { clientId: account.id, issuer });
  const withKey = (audience: string) =>
    service.call('postern.v1.AuthService/IssueServiceToken', { client_assertion, audience });
  expect((await withKey('orders')).reason).toBe('FIELD_INVALID');
  expect((await withKey('postern')).code).toBe(status.OK);
  expect((await withKey('postern')).reason).not.toBeUndefined();
});

test('lists are created and changed as given; only audiences that exist are taken', async () => {
  const account = await create('orders', {
    roles: ['reader'],
    allowed_audiences: ['billing', 'orders'],
    own_audiences: ['orders'],
    delegation_audiences: ['billing'],
  });
  const changed = await update(account.id, {
    roles: { roles: ['writer', 'reader'] },
    delegation_audiences: { audiences: [] },
  });
  expect(changed.response).toMatchObject({
    client_id: account.id,
    name: 'orders',
    roles: ['reader', 'writer'],
    allowed_audiences: ['billing', 'orders'],
    own_audiences: ['orders'],
    delegation_audiences: [],
  });
  for (const request of [
    { allowed_audiences: { audiences: ['nobody'] } },
    { allowed_audiences: { audiences: ['*'] } },
    { own_audiences: { audiences: ['orders', 'nobody'] } },
    { delegation_audiences: { audiences: [''] } },
    { allowed_audiences: { audiences: [] } },
    { own_audiences: { audiences: Array.from({ length: 17 }, () => 'orders') } },
    { roles: { roles: ['Not A Role'] } },
  ])
    expect((await update(account.id, request)).reason).toBe('FIELD_INVALID');
  expect((await administer('CreateServiceAccount', { name: 'x', own_audiences: ['nobody'] })).reason).toBe(
    'FIELD_INVALID',
  );
  expect((await update(randomUUID(), { roles: { roles: [] } })).reason).toBe('RESOURCE_NOT_FOUND');
  const [event] = await database.query(
    `SELECT details FROM audit_events WHERE action = 'service.update' AND outcome = 'ok' AND target_id = $1`,
    [account.id],
  );
  expect(event?.['details']).toMatchObject({
    before: { roles: ['reader'], delegation_audiences: ['billing'] },
    after: { roles: ['reader', 'writer'], delegation_audiences: [] },
    tokens: 0,
  });
});

test('W22 an audience that is being named cannot be deleted before the change is done', async () => {
  await administer('CreateAudience', { name: 'named' });
  const { id } = await create('naming');
  const { deleted } = await database.database.transaction(testCall(), async (trx) => {
    await trx.raw(`SELECT 1 FROM audiences WHERE name = 'named' FOR KEY SHARE`);
    const deleting = administer('DeleteAudience', { name: 'named' });
    await untilBlocked(database, deleting);
    return { deleted: deleting };
  });
  expect((await deleted).code).toBe(status.OK);
  expect((await update(id, { own_audiences: { audiences: ['named'] } })).reason).toBe('FIELD_INVALID');
});

test.each([
  ['a role', { roles: { roles: ['reader'] } }],
  ['an allowed audience', { allowed_audiences: { audiences: ['postern'] } }],
])('W22 what loses %s loses its tokens at every instance; what gains keeps them', async (what, request) => {
  const account = await create(`shrinking-${what.length}`, {
    roles: ['reader', 'writer'],
    allowed_audiences: ['postern', 'orders'],
  });
  const token = await tokenOf(account, 'orders');
  const acting = await actingToken(account.id);
  await update(account.id, {
    roles: { roles: ['auditor', 'reader', 'writer'] },
    allowed_audiences: { audiences: ['postern', 'orders', 'billing'] },
    own_audiences: { audiences: ['orders'] },
  });
  expect([await verdict(token), await verdict(token, second)]).toEqual(['good', 'good']);
  expect((await update(account.id, request)).code).toBe(status.OK);
  // At once where it was changed.
  expect(await verdict(token)).toBe('TOKEN_REVOKED');
  await revokedAtBoth(token);
  expect(await isRevoked(acting)).toBe(false);
});

test.each(['own_audiences', 'delegation_audiences'])(
  'W22 an account whose %s shrink keeps its own tokens and loses those in which it acts',
  async (list) => {
    const account = await create(`acting-${list}`, { [list]: ['orders', 'billing'] });
    const own = await tokenOf(account);
    const acting = await actingToken(account.id);
    await update(account.id, { [list]: { audiences: ['orders', 'billing', 'postern'] } });
    expect(await isRevoked(acting)).toBe(false);
    await update(account.id, { [list]: { audiences: ['billing'] } });
    expect(await isRevoked(acting)).toBe(true);
    expect(await verdict(own)).toBe('good');
  },
);

test('W22 no token with what an account has lost survives a change concurrent with its issue', async () => {
  for (let round = 0; round < 5; round += 1) {
    const account = await create(`raced-${round}`, { allowed_audiences: ['postern', 'orders'] });
    const issues = Array.from({ length: 8 }, (_, index) =>
      issue(account, 'orders', index % 2 === 0 ? service : second),
    );
    await issues[round];
    await update(account.id, { allowed_audiences: { audiences: ['postern'] } });
    for (const { response, reason } of await Promise.all(issues)) {
      if (response) await revokedAtBoth(String(response['access_token']));
      else expect(reason).toBe('FIELD_INVALID');
    }
    expect(await verdict(await tokenOf(account))).toBe('good');
  }
});

test('W22 a token that waits for a change of the account is judged by what the account has then', async () => {
  const account = await create('waiting', { roles: ['writer'], allowed_audiences: ['postern', 'orders'] });
  const answers = await database.database.transaction(testCall(), async (trx) => {
    const locked = await lockServiceAccount(trx, { id: account.id });
    if (!locked) throw new Error('no account');
    await replaceAccountRights(trx, { ...locked, roles: [], allowedAudiences: ['postern'] });
    await revokeServiceTokens(trx, account.id);
    const refused = issue(account, 'orders');
    const issued = issue(account, 'postern');
    await untilBlocked(database, Promise.race([refused, issued]), 2);
    return { refused, issued };
  });
  expect((await answers.refused).reason).toBe('FIELD_INVALID');
  const token = String((await answers.issued).response?.['access_token']);
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Message;
  expect(claims['roles']).toEqual([]);
});

test('W23 a deletion revokes tokens, those in which the account acts, API keys and what they were exchanged for; a new account by its name has none of it', async () => {
  const account = await create('reborn', { own_audiences: ['orders'] });
  const token = await tokenOf(account);
  const acting = await actingToken(account.id);
  const keyId = randomUUID();
  await database.query(
    `INSERT INTO api_keys (id, account_id, name, digest, mac, roles, audience) VALUES ($1, $2, 'k', '\\x01', '\\x02', '{}', 'postern')`,
    [keyId, account.id],
  );
  await database.query(
    `INSERT INTO service_tokens (id, account_id, api_key_id, expires_at) VALUES ('of-key', $1, $2, now() + interval '5 minutes')`,
    [account.id, keyId],
  );
  await database.query(
    `INSERT INTO workload_bindings (id, account_id, claims) VALUES ($1, $2, '{"sub": "ci"}')`,
    [randomUUID(), account.id],
  );
  expect((await administer('DeleteServiceAccount', { client_id: account.id })).code).toBe(status.OK);
  await revokedAtBoth(token);
  expect([await isRevoked(acting), await isRevoked(keyId), await isRevoked('of-key')]).toEqual([
    true,
    true,
    true,
  ]);
  for (const table of ['api_keys', 'workload_bindings'])
    expect(await database.query(`SELECT 1 FROM ${table} WHERE account_id = $1`, [account.id])).toEqual([]);

  const reborn = await create('reborn');
  expect(reborn.id).not.toBe(account.id);
  const verified = await service.call('postern.v1.AuthService/VerifyToken', {
    access_token: await tokenOf(reborn),
  });
  expect(verified.response).toMatchObject({ subject: reborn.id, subject_name: 'reborn' });
  expect(await verdict(token)).toBe('TOKEN_REVOKED');
  expect((await issue(account)).reason).toBe('INVALID_CREDENTIALS');
});

test('the command line creates, lists and changes the lists, and running instances follow', async () => {
  const environment = { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey, ...settings };
  const postern = (...words: string[]) => runHere(['service', ...words], { environment });
  const made = JSON.parse(
    (
      await postern(
        ...['create', 'cli', '--role', 'reader', '--allowed-audiences', 'orders, billing'],
        ...['--own-audiences', 'orders', '--delegation-audiences', 'billing', '--json'],
      )
    ).stdout,
  ) as Record<string, string>;
  const account = { id: made['client_id'] ?? '', secret: made['client_secret'] ?? '' };
  const token = await tokenOf(account, 'billing');
  const listed = JSON.parse((await postern('list', '--json')).stdout) as Message[];
  expect(listed.find(({ name }) => name === 'cli')).toMatchObject({
    allowed_audiences: ['billing', 'orders'],
    own_audiences: ['orders'],
    delegation_audiences: ['billing'],
  });
  expect((await postern('list')).stdout).toMatch(/ cli +reader +billing,orders +orders +billing /);
  const changed = await postern(
    'change',
    'cli',
    '--allowed-audiences',
    'orders',
    '--own-audiences',
    '',
    '--no-roles',
  );
  expect(changed.stdout).toBe(
    'cli: no roles\nmay ask for       orders\nserves            none\nmay act towards   billing\n',
  );
  await revokedAtBoth(token);
  for (const words of [
    ['change', 'cli'],
    ['change', 'cli', '--role', 'a', '--no-roles'],
  ])
    expect((await postern(...words)).exitCode).toBe(2);
  expect((await postern('change', 'nobody', '--no-roles')).exitCode).not.toBe(0);
  expect((await postern('create', 'bad', '--own-audiences', 'nobody')).stderr).toContain(
    'postern audience add',
  );
});
