import { createHash } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { makeScannableSecret } from '../../../src/crypto/api-secret.ts';
import { account, verdictOf } from '../../support/account.ts';
import { type AdminFixture, openAdminFixture } from '../../support/admin-fixture.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import {
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';
import { until } from '../../support/wait-for.ts';

const admin = { email: 'ann@example.com', password: 'correct horse battery' };
const bob = { email: 'bob@example.com', password: 'correct horse battery' };
const settings = {
  POSTERN_AUDIENCE: 'postern,billing',
  POSTERN_TRUSTED_PROXIES: '10.9.0.0/16',
  POSTERN_OAUTH: 'on',
};

let database: TestDatabase;
let service: TestService;
let second: TestService;
let fixture: AdminFixture;
let bobId: string;
let asAdmin: string;
let asBob: string;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(settings, database);
  second = await startTestService(settings, database);
  fixture = await openAdminFixture(database);
  await service.addUser(admin.email, admin.password, ['admin']);
  bobId = await service.addUser(bob.email, bob.password, ['reader', 'writer']);
  asAdmin = `Bearer ${await service.tokenOf(admin.email, admin.password)}`;
  asBob = `Bearer ${await service.tokenOf(bob.email, bob.password)}`;
});
afterAll(async () => {
  await service.stop();
  await second.stop();
  await database.drop();
});

interface Created {
  readonly secret: string;
  readonly id: string;
  readonly key: Message;
}
let made = 0;
const own = (method: string, request: Message, authorization = asBob) =>
  service.call(`postern.v1.AuthService/${method}`, request, { authorization });
const administer = (method: string, request: Message) =>
  service.call(`postern.v1.AdminService/${method}`, request, { authorization: asAdmin });
const verify = (key: string, request: Message = {}, metadata: Record<string, string> = {}, at = service) =>
  at.call('postern.v1.AuthService/VerifyToken', { access_token: key, ...request }, metadata);
const exchange = (subject_token: string, request: Message = {}, at = service) =>
  at.call('postern.v1.AuthService/ExchangeToken', { subject_token, ...request });
function created({ response, message }: Outcome): Created {
  if (!response) throw new Error(message);
  const key = response['api_key'] as Message;
  return { secret: String(response['secret']), id: String(key['id']), key };
}
const newName = () => `key ${(made += 1)}`;
const create = async (request: Message = {}, authorization = asBob) =>
  created(await own('CreateApiKey', { name: newName(), roles: ['reader'], ...request }, authorization));
const createFor = async (owner: Message, request: Message = {}) =>
  created(await administer('CreateApiKey', { ...owner, api_key: { name: newName(), ...request } }));
const becomes = (expected: string, key: string, at = second) =>
  until(async () => (await account.verdict(at, key)) === expected, `the key is ${expected}`);

describe('Q01 a key is accepted wherever a token may stand', () => {
  test('VerifyToken answers with the rights of the key, at every instance, at once', async () => {
    const { secret, id, key } = await create();
    expect(secret).toMatch(/^pak_[0-9A-Za-z]{49}$/);
    expect(key).toMatchObject({
      owner_id: bobId,
      owner_type: 'USER',
      roles: ['reader'],
      audience: 'postern',
    });
    for (const at of [service, second]) {
      const { response } = await verify(secret, {}, {}, at);
      expect(response).toMatchObject({
        subject: bobId,
        subject_type: 'USER',
        session_id: '',
        token_id: id,
        roles: ['reader'],
        audience: ['postern'],
        credential_kind: 'API_KEY',
        actor: null,
      });
    }
    expect(verdictOf(await verify('', {}, { authorization: `Bearer ${secret}` }))).toBe('OK');
    expect(verdictOf(await verify(secret, { audience: 'billing' }))).toBe('TOKEN_CLAIMS_INVALID');
  });

  test('as the bearer of methods for services and administrators, not for users', async () => {
    const { id } = await fixture.createService('keyed', ['admin']);
    const service_ = await createFor({ client_id: id }, { roles: ['admin'] });
    const authorization = `Bearer ${service_.secret}`;
    expect(verdictOf(await service.call('postern.v1.AdminService/ListUsers', {}, { authorization }))).toBe(
      'OK',
    );
    const hash = { key_sha256: createHash('sha256').update(service_.secret).digest() };
    const resolve = await service.call('postern.v1.TrustService/ResolveApiKey', hash, { authorization });
    expect(resolve.response).toMatchObject({ id: service_.id, subject_name: 'keyed', roles: ['admin'] });
    const key = await create();
    for (const credential of [key.secret, service_.secret])
      expect(verdictOf(await own('CreateApiKey', { name: 'x' }, `Bearer ${credential}`))).toBe(
        'CREDENTIAL_NOT_ALLOWED',
      );
  });

  test('in Check, in the client address that Envoy gives', async () => {
    const { secret } = await create({ allowed_networks: ['192.0.2.0/24'] });
    const check = async (source: string | null, forwarded?: string) => {
      const headers = {
        authorization: `Bearer ${secret}`,
        ...(forwarded !== undefined && { 'x-forwarded-for': forwarded }),
      };
      const peer = source !== null && { source: { address: { socket_address: { address: source } } } };
      const request = { attributes: { ...peer, request: { http: { headers } } } };
      const { response } = await service.call('envoy.service.auth.v3.Authorization/Check', request);
      return (response as { status: { code: number } }).status.code;
    };
    expect(await check('192.0.2.9')).toBe(0);
    expect(await check('198.51.100.1')).toBe(16);
    expect(await check('198.51.100.1', '192.0.2.9')).toBe(16);
    expect(await check('10.9.0.1', '192.0.2.9')).toBe(0);
    expect(await check('10.9.0.1', '192.0.2.9, 198.51.100.1')).toBe(16);
    expect(await check(null)).toBe(16);
  });
});

test('Q01 ExchangeToken takes a key alone, for its own audience, and records whose it was', async () => {
  const { secret, id } = await create();
  await becomes('OK', secret, service);
  expect(verdictOf(await exchange(secret, { service_account: 'orders' }))).toBe('FIELD_INVALID');
  expect(verdictOf(await exchange(secret, { actor_token: secret }))).toBe('FIELD_INVALID');
  const beside = await own('ExchangeToken', { subject_token: secret });
  expect(verdictOf(beside)).toBe('EXCHANGE_NOT_ALLOWED');
  expect(verdictOf(await exchange(secret, { audience: 'billing' }))).toBe('EXCHANGE_NOT_ALLOWED');
  const token = String((await exchange(secret)).response?.['access_token']);
  expect(verdictOf(await exchange(token, { audience: 'billing' }))).toBe('EXCHANGE_NOT_ALLOWED');
  expect(
    await database.query(
      `SELECT actor_id FROM audit_events WHERE reason = 'EXCHANGE_NOT_ALLOWED' AND target_id = $1`,
      [id],
    ),
  ).toEqual([{ actor_id: bobId }, { actor_id: bobId }]);
});

test('Q01 over HTTP: as the bearer, introspected, and revoked by whoever holds it', async () => {
  const { id: clientId, secret: clientSecret } = await fixture.createService('introspector');
  const keyOfAccount = await createFor({ client_id: clientId });
  await becomes('OK', keyOfAccount.secret, service);
  const post = async (path: string, form: Record<string, string>, authorization: string) => {
    const init = { method: 'POST', headers: { authorization }, body: new URLSearchParams(form) };
    const response = await fetch(service.httpUrl + path, init);
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : (JSON.parse(text) as Message) };
  };
  const { secret: token, id } = await create();
  const basic = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`;
  for (const authorization of [basic, `Bearer ${keyOfAccount.secret}`]) {
    const { body } = await post('/oauth/introspect', { token }, authorization);
    expect(body).toMatchObject({ active: true, sub: bobId, jti: id, roles: ['reader'], aud: 'postern' });
    // That of a login would make it look like one.
    expect(body).not.toHaveProperty('client_id');
  }
  const narrow = await create({ allowed_networks: ['192.0.2.0/24'] });
  expect((await post('/oauth/introspect', { token: narrow.secret }, basic)).body).toEqual({ active: false });
  for (let time = 0; time < 2; time += 1)
    expect(await post('/oauth/revoke', { token }, basic)).toMatchObject({ status: 200 });
  expect((await post('/oauth/introspect', { token }, basic)).body).toEqual({ active: false });
  expect(await post('/oauth/revoke', { token: `pak_${'x'.repeat(49)}` }, basic)).toMatchObject({
    status: 200,
  });
});

describe('Q02 a key with networks', () => {
  test('is refused without an address, and the address counts only from who is trusted', async () => {
    const { secret } = await create({ allowed_networks: ['192.0.2.7/24', '2001:db8::/32'] });
    expect(verdictOf(await verify(secret))).toBe('API_KEY_INVALID');
    expect(verdictOf(await verify(secret, { client_address: '192.0.2.9' }))).toBe('API_KEY_INVALID');
    const { secret: clientSecret, id } = await fixture.createService(newName().replace(' ', '-'));
    const issued = await service.call('postern.v1.AuthService/IssueServiceToken', {
      client_id: id,
      client_secret: clientSecret,
    });
    const authorization = `Bearer ${String(issued.response?.['access_token'])}`;
    const from = async (client_address: string) =>
      verdictOf(await verify(secret, { client_address }, { authorization }));
    expect(await from('192.0.2.9')).toBe('OK');
    expect(await from('2001:db8::1')).toBe('OK');
    expect(await from('198.51.100.1')).toBe('API_KEY_INVALID');
    expect(await from('127.0.0.1')).toBe('API_KEY_INVALID');
    expect(await from('nowhere')).toBe('FIELD_INVALID');
    expect(verdictOf(await exchange(secret))).toBe('API_KEY_INVALID');
  });
});

describe('Q03 every refused key gets the same answer', () => {
  test('unknown, revoked, expired and used from another network', async () => {
    const revoked = await create();
    await own('RevokeApiKey', { id: revoked.id });
    const valid = await create();
    const narrow = await create({ allowed_networks: ['192.0.2.0/24'] });
    const unknown = makeScannableSecret('pak_', Buffer.alloc(32, 7));
    const short = await create({ lifetime: 1 });
    await becomes('API_KEY_INVALID', short.secret);
    const answers = await Promise.all(
      [revoked.secret, short.secret, narrow.secret, unknown, 'pak_junk'].map((key) => verify(key)),
    );
    const shape = ({ code, message, reason }: Outcome) => ({ code, message, reason });
    for (const answer of answers) expect(shape(answer)).toEqual(shape(answers[0] as Outcome));
    expect(answers[0]?.reason).toBe('API_KEY_INVALID');
    expect(await account.verdict(service, valid.secret)).toBe('OK');
  });
});

describe('Q04 what ends a key', () => {
  test('its revocation, at the other instance as well, with the tokens that it was exchanged for', async () => {
    const { secret, id } = await create();
    await becomes('OK', secret);
    const { response } = await exchange(secret);
    const token = String(response?.['access_token']);
    expect(response).toMatchObject({ session_id: id, user_id: bobId, refresh_token: '' });
    await becomes('OK', token);
    expect(verdictOf(await own('RevokeApiKey', { id }))).toBe('OK');
    expect(verdictOf(await own('RevokeApiKey', { id }))).toBe('OK');
    for (const credential of [secret, token])
      expect(await account.verdict(service, credential)).toMatch(/API_KEY_INVALID|TOKEN_REVOKED/);
    await becomes('API_KEY_INVALID', secret);
    await becomes('TOKEN_REVOKED', token);
    expect(verdictOf(await exchange(secret))).toBe('API_KEY_INVALID');
  });

  test('whoever holds it, by RevokeToken, but not all sessions', async () => {
    const { secret } = await create();
    await becomes('OK', secret);
    expect(await account.revoke(service, secret, true)).toBe('CREDENTIAL_NOT_ALLOWED');
    expect(await account.verdict(service, secret)).toBe('OK');
    expect(await account.revoke(service, secret)).toBe('OK');
    expect(await account.revoke(service, secret)).toBe('OK');
    expect(await account.revoke(service, `pak_${'x'.repeat(49)}`)).toBe('OK');
    await becomes('API_KEY_INVALID', secret);
  });

  test('the deletion of its owner, of a user or an account', async () => {
    const userId = await service.addUser('gone@example.com', bob.password, ['reader']);
    const { id: clientId } = await fixture.createService('gone', ['reader']);
    const keys = [
      await createFor({ user_id: userId }, { roles: ['reader'] }),
      await createFor({ client_id: clientId }, { roles: ['reader'] }),
    ];
    const tokens: string[] = [];
    for (const { secret } of keys) {
      await becomes('OK', secret);
      tokens.push(String((await exchange(secret)).response?.['access_token']));
    }
    await administer('DeleteUser', { user_id: userId });
    await administer('DeleteServiceAccount', { client_id: clientId });
    for (const { secret } of keys)
      for (const at of [service, second]) await becomes('API_KEY_INVALID', secret, at);
    for (const token of tokens) for (const at of [service, second]) await becomes('TOKEN_REVOKED', token, at);
  });
});

describe('Q05 a key never has more than its owner', () => {
  test('at its creation', async () => {
    expect(verdictOf(await own('CreateApiKey', { name: 'a', roles: ['admin'] }))).toBe('FIELD_INVALID');
    expect(verdictOf(await own('CreateApiKey', { name: 'a', lifetime: 0 }))).toBe('FIELD_INVALID');
    expect(verdictOf(await own('CreateApiKey', { name: 'a', lifetime: 367 * 86_400 }))).toBe('FIELD_INVALID');
    expect(verdictOf(await own('CreateApiKey', { name: 'a', audience: 'other' }))).toBe('FIELD_INVALID');
    expect(verdictOf(await own('CreateApiKey', { name: 'a', allowed_networks: ['x'] }))).toBe(
      'FIELD_INVALID',
    );
    const never = await createFor({ user_id: bobId }, { lifetime: 0 });
    expect(never.key['expires_at']).toBeNull();
    expect((await verify(never.secret)).response).toMatchObject({ expires_at: null });
  });

  test('at every use: a role that the owner loses is lost, with the tokens that had it', async () => {
    const userId = await service.addUser('eve@example.com', bob.password, ['reader', 'writer']);
    const { secret, id } = await createFor({ user_id: userId }, { roles: ['reader', 'writer'] });
    const rolesAt = async (at: TestService) => (await verify(secret, {}, {}, at)).response?.['roles'];
    await until(async () => String(await rolesAt(second)) === 'reader,writer', 'the key is known');
    const token = String((await exchange(secret)).response?.['access_token']);
    await administer('UpdateUser', { user_id: userId, roles: { roles: ['reader'] } });
    for (const at of [service, second])
      await until(async () => String(await rolesAt(at)) === 'reader', 'the key has lost the role');
    for (const at of [service, second]) await becomes('TOKEN_REVOKED', token, at);
    // The key itself goes on, and so do new tokens.
    const { response } = await exchange(secret);
    expect((await verify(String(response?.['access_token']))).response).toMatchObject({ roles: ['reader'] });
    await administer('UpdateUser', { user_id: userId, disabled: true });
    for (const at of [service, second]) await becomes('API_KEY_INVALID', secret, at);
    await administer('UpdateUser', { user_id: userId, disabled: false });
    for (const at of [service, second]) await becomes('OK', secret, at);
    expect(await database.query('SELECT count(*)::int AS n FROM revocations WHERE id = $1', [id])).toEqual([
      { n: 0 },
    ]);
  });
});
