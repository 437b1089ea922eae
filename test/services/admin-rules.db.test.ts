import { generateKeyPairSync } from 'node:crypto';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { methodTable } from '../../src/rpc/method-table.ts';
import { account } from '../support/account.ts';
import { bearing, callerPassword, serviceToken } from '../support/callers.ts';
import { openAdminFixture, type AdminFixture } from '../support/admin-fixture.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import {
  type Message,
  methodOf,
  type Outcome,
  startTestService,
  type TestService,
} from '../support/test-service.ts';

let database: TestDatabase;
let service: TestService;
let second: TestService;
let fixture: AdminFixture;
let adminId: string;
let adminToken: string;
beforeAll(async () => {
  database = await createTestDatabase();
  [service, second] = await Promise.all([startTestService({}, database), startTestService({}, database)]);
  fixture = await openAdminFixture(database);
  adminId = await service.addUser('admin@example.com', callerPassword, ['admin']);
  adminToken = await service.tokenOf('admin@example.com', callerPassword);
});
afterAll(async () => {
  await Promise.all([service.stop(), second.stop()]);
  await database.drop();
});

const admin = (method: string, request: Message, token = adminToken, at = service): Promise<Outcome> =>
  at.call(`postern.v1.AdminService/${method}`, request, { authorization: `Bearer ${token}` });
const verdict = ({ code, reason }: Outcome) => reason ?? grpc.status[code];
async function rolesOf(userId: string): Promise<unknown> {
  return (await admin('GetUser', { user_id: userId })).response?.['roles'];
}

test('A03 a removed role has no effect from the next call on, on every instance, whatever the token says', async () => {
  const id = await service.addUser('deputy@example.com', callerPassword, ['admin']);
  const token = await service.tokenOf('deputy@example.com', callerPassword);
  expect(verdict(await admin('ListUsers', {}, token, second))).toBe('OK');
  // Written directly to the database, so that no session is revoked.
  await database.query(`UPDATE users SET roles = '{}' WHERE id = $1`, [id]);
  for (const at of [service, second]) {
    expect(verdict(await admin('ListUsers', {}, token, at))).toBe('ADMIN_REQUIRED');
    expect(verdict(await admin('UpdateUser', { user_id: id, roles: { roles: ['admin'] } }, token, at))).toBe(
      'ADMIN_REQUIRED',
    );
  }
  expect(await rolesOf(id)).toEqual([]);
  const account = await fixture.createService('robot', ['admin']);
  const robot = await serviceToken(service, account);
  expect(verdict(await admin('ListUsers', {}, robot))).toBe('OK');
  await database.query(`UPDATE service_accounts SET roles = '{}' WHERE id = $1`, [account.id]);
  expect(verdict(await admin('ListUsers', {}, robot, second))).toBe('ADMIN_REQUIRED');
});

test('A04 users cannot give themselves a role, nor set fields outside the contract', async () => {
  const id = await service.addUser('plain@example.com', callerPassword, ['user']);
  const token = await service.tokenOf('plain@example.com', callerPassword);
  for (const [method, request] of [
    ['UpdateUser', { user_id: id, roles: { roles: ['admin'] } }],
    ['CreateUser', { email: 'twin@example.com', password: callerPassword, roles: ['admin'] }],
    ['CreateServiceAccount', { name: 'mine', roles: ['admin'] }],
    ['CreatePasswordReset', { user_id: adminId }],
  ] as const)
    expect([method, verdict(await admin(method, request, token))]).toEqual([method, 'ADMIN_REQUIRED']);
  expect(await rolesOf(id)).toEqual(['user']);

  // Fields of the stored row that the contract does not have: unknown fields are ignored.
  const smuggled = await sendRaw('CreateUser', [
    ...fields(1, 'smuggler@example.com'),
    ...fields(2, callerPassword),
    ...[6, 7, 8, 100].flatMap((field) => fields(field, 'admin')),
  ]);
  expect(smuggled.response).toMatchObject({ email: 'smuggler@example.com', roles: [], disabled: false });
  const known = String(smuggled.response?.['id']);
  const forced = await sendRaw('UpdateUser', [
    ...fields(1, known),
    ...[6, 7, 8, 9, 50].flatMap((field) => fields(field, '$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA')),
  ]);
  expect(forced.code).toBe(grpc.status.OK);
  expect(
    verdict(
      await service.call('postern.v1.AuthService/Login', {
        email: 'smuggler@example.com',
        password: callerPassword,
      }),
    ),
  ).toBe('OK');
});

/** A protobuf field of bytes, of a number below 128 * 16. */
function fields(field: number, value: string): number[] {
  const tag = (field << 3) | 2;
  const bytes = Buffer.from(value);
  return [...(tag < 128 ? [tag] : [(tag & 127) | 128, tag >> 7]), bytes.length, ...bytes];
}

function sendRaw(method: string, bytes: number[]): Promise<Outcome> {
  const client = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
  return new Promise((resolve, reject) => {
    const definition = methodOf(`postern.v1.AdminService/${method}`);
    client.makeUnaryRequest(
      definition.path,
      (raw: Buffer) => raw,
      definition.responseDeserialize,
      Buffer.from(bytes),
      bearing(adminToken),
      (error, response) => {
        client.close();
        if (error) reject(error);
        else
          resolve({
            code: grpc.status.OK,
            message: '',
            reason: undefined,
            trailers: new grpc.Metadata(),
            response: response as Message,
          });
      },
    );
  });
}

test('A05 two concurrent demotions over two services leave one administrator', async () => {
  const other = await service.addUser('other-admin@example.com', callerPassword, ['admin']);
  const robot = await serviceToken(service, await fixture.createService('referee', ['admin']));
  const demotions: ((id: string) => [string, Message])[] = [
    (id) => ['UpdateUser', { user_id: id, roles: { roles: [] } }],
    (id) => ['UpdateUser', { user_id: id, disabled: true }],
    (id) => ['DeleteUser', { user_id: id }],
  ];
  for (const demote of demotions) {
    await database.query(`UPDATE users SET roles = '{admin}', disabled_at = NULL WHERE id = ANY($1)`, [
      [adminId, other],
    ]);
    const answers = await Promise.all(
      [adminId, other].map((id, n) => admin(...demote(id), robot, n === 0 ? service : second)),
    );
    expect(answers.map(verdict).sort()).toEqual(['LAST_ADMIN', 'OK']);
    const refused = answers.find(({ reason }) => reason === 'LAST_ADMIN');
    expect(refused?.code).toBe(grpc.status.FAILED_PRECONDITION);
    const left = await database.query(
      `SELECT id FROM users WHERE 'admin' = ANY(roles) AND disabled_at IS NULL`,
    );
    expect(left.length).toBe(1);
  }
  const [left] = await database.query(
    `SELECT email FROM users WHERE 'admin' = ANY(roles) AND disabled_at IS NULL`,
  );
  adminToken = await service.tokenOf(String(left?.['email']), callerPassword);
});

test('A06 no answer to a read contains a hash, a secret, a token or key material', async () => {
  const account = await fixture.createService('looked-at');
  await serviceToken(service, account);
  const reset = await fixture.resetFor('plain@example.com');
  const login = await service.call('postern.v1.AuthService/Login', {
    email: 'plain@example.com',
    password: callerPassword,
  });
  const [user] = await database.query(
    `SELECT id, password_hash FROM users WHERE email = 'plain@example.com'`,
  );
  const readings = Object.keys(methodTable)
    .filter((path) => /AdminService\/(Get|List)/.test(path))
    .map((path) => path.split('/')[2] ?? '');
  expect(readings.length).toBeGreaterThanOrEqual(6);
  const publicJwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
  const kid = await fixture.addKey(account.id, JSON.stringify(publicJwk));
  const whose = { user_id: String(user?.['id']), client_id: account.id };
  const request = { ...whose, page_size: 1_000, include_ended: true };
  const key = await admin('CreateApiKey', { user_id: whose.user_id, api_key: { name: 'looked at' } });
  const requestOf = (method: string) => (method === 'ListApiKeys' ? { user_id: whose.user_id } : request);
  const answers = await Promise.all(readings.map((method) => admin(method, requestOf(method))));
  expect(answers.map(verdict)).toEqual(readings.map(() => 'OK'));
  const text = JSON.stringify(answers.map(({ response }) => response));
  for (const listed of [
    account.id,
    kid,
    'looked at',
    String(login.response?.['session_id']),
    'plain@example.com',
    'service.token',
  ])
    expect(text).toContain(listed);
  for (const secret of [
    account.secret,
    String(key.response?.['secret']),
    reset,
    String(login.response?.['access_token']),
    String(login.response?.['refresh_token']),
    String(user?.['password_hash']),
    callerPassword,
  ])
    expect(text.includes(secret.slice(4, 40)) || text.includes(secret)).toBe(false);
  expect(text).not.toMatch(/argon2|"d":|private|_hash|digest|ciphertext|nonce/i);
});

test('A08 pages are bounded, and a cursor is valid for its own list only', async () => {
  for (let n = 0; n < 3; n += 1) await fixture.createService(`paged-${n}`);
  const first = await admin('ListUsers', { page_size: 1 });
  const cursor = String(first.response?.['next_page_token']);
  expect((first.response?.['users'] as object[]).length).toBe(1);
  const next = await admin('ListUsers', { page_size: 1, page_token: cursor }, adminToken, second);
  expect((next.response?.['users'] as { id: string }[])[0]?.id).not.toBe(
    (first.response?.['users'] as { id: string }[])[0]?.id,
  );
  const plain = (await admin('GetUser', { email: 'plain@example.com' })).response?.['id'];
  const flipped = cursor.slice(0, -2) + (cursor.endsWith('AA') ? 'BB' : 'AA');
  for (const [method, request] of [
    ['ListUsers', { page_token: flipped }],
    ['ListUsers', { page_token: `${cursor}A` }],
    ['ListUsers', { page_token: 'x'.repeat(5_000) }],
    ['ListUsers', { page_token: String((first.response?.['users'] as { id: string }[])[0]?.id) }],
    ['ListUsers', { page_token: cursor, role: 'user' }],
    ['ListServiceAccounts', { page_token: cursor }],
    ['ListAuditEvents', { page_token: cursor }],
    ['ListSessions', { user_id: plain, page_token: cursor }],
  ] as const) {
    const { code, reason } = await admin(method, request);
    expect([method, code, reason]).toEqual([method, grpc.status.INVALID_ARGUMENT, 'FIELD_INVALID']);
  }
  await database.query(
    `INSERT INTO service_accounts (id, name, roles, secret_digest) SELECT gen_random_uuid(), 'crowd-' || n, '{}', decode(repeat('00', 32), 'hex') FROM generate_series(1, 1100) n`,
  );
  const largest = await admin('ListServiceAccounts', { page_size: 4_000_000_000 });
  expect((largest.response?.['service_accounts'] as object[]).length).toBe(1_000);
  expect(largest.response?.['next_page_token']).not.toBe('');
});

test.each([
  ['an unknown action', { action: 'user.updated' }, 'action: '],
  ['an unknown outcome', { outcome: 'failed' }, 'outcome: '],
  ['an e-mail as actor', { actor: 'plain@example.com' }, 'actor: '],
  ['a truncated id as actor', { actor: '0198c0de-aaaa-7' }, 'actor: '],
  ['an e-mail as target', { target: 'plain@example.com' }, 'target: '],
  ['an id in capitals as target', { target: '0198C0DE-AAAA-7000-8000-0123456789AB' }, 'target: '],
])('the audit trail refuses a filter with %s', async (_name, filter, says) => {
  const { code, reason, message } = await admin('ListAuditEvents', filter);
  expect([code, reason]).toEqual([grpc.status.INVALID_ARGUMENT, 'FIELD_INVALID']);
  expect(message).toContain(says);
});

test.each([
  { action: 'user.update', outcome: 'refused' },
  { actor: '0198c0de-aaaa-7000-8000-0123456789ab' },
  { actor: 'spiffe://example.org/ops' },
  { actor: 'ops.example.org' },
  { actor: 'localhost' },
  { target: 'w1f5Ck-0_vXcQjKq0mXoQbZ3Ykq7mTn1l0bE6Yk2h8s' },
])('the audit trail accepts the filter %j', async (filter) => {
  expect(await admin('ListAuditEvents', filter)).toMatchObject({ code: grpc.status.OK });
});

test('ending a session again succeeds, and each call is audited', async () => {
  await service.addUser('ended@example.com', callerPassword);
  const { session_id } = await account.login(service, 'ended@example.com', callerPassword);
  const ended = [];
  for (let turn = 0; turn < 3; turn += 1) ended.push(await admin('RevokeSessions', { session_id }));
  expect(ended.map(({ code, response }) => [code, response?.['ended']])).toEqual([
    [grpc.status.OK, 1],
    [grpc.status.OK, 0],
    [grpc.status.OK, 0],
  ]);
  const { response } = await admin('ListAuditEvents', { action: 'session.revoke', target: session_id });
  expect(response?.['events']).toHaveLength(3);
  const unknown = { session_id: '0198c0de-aaaa-7000-8000-0123456789ab' };
  expect(await admin('RevokeSessions', unknown)).toMatchObject({ reason: 'RESOURCE_NOT_FOUND' });
});
