import { randomUUID } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { account, verdictOf } from '../../support/account.ts';
import { openAdminFixture } from '../../support/admin-fixture.ts';
import { serviceToken } from '../../support/callers.ts';
import { type Message, startTestService, type TestService } from '../../support/test-service.ts';

const secret = 'b9b1a1e0d6c84f3b9c5a2f7e8d41c6035f7a9e2b1c8d4f60a3e5b7d9f1c2e4a6';
const password = 'correct horse battery';
let service: TestService;
let orders: { id: string; secret: string };
let userId: string;
beforeAll(async () => {
  service = await startTestService({
    POSTERN_AUDIENCE: 'postern,orders,billing',
    POSTERN_ALGORITHM: 'HS256',
    POSTERN_SECRET: secret,
  });
  userId = await service.addUser('ann@example.com', password, ['reader']);
  orders = await (await openAdminFixture(service.database)).createService('orders');
  await service.database.query(
    `UPDATE service_accounts SET own_audiences = '{orders}', delegation_audiences = '{billing}' WHERE id = $1`,
    [orders.id],
  );
});
afterAll(() => service.stop());

const actors = (count: number): object =>
  count === 1 ? { sub: orders.id } : { sub: orders.id, act: actors(count - 1) };
const forged = (claims: object) =>
  jwt.sign(
    {
      sub: userId,
      sid: randomUUID(),
      jti: randomUUID(),
      aud: 'orders',
      client_id: 'postern',
      roles: [],
      ...claims,
    },
    secret,
    { issuer: 'http://127.0.0.1:8080', expiresIn: 600 },
  );
const exchange = async (subject_token: string, more: Message = {}) =>
  verdictOf(await service.call('postern.v1.AuthService/ExchangeToken', { subject_token, ...more }));

// Every program that verifies by a shared secret can sign with it as well.
test('G03 an `act` that another program signed with the shared secret is not passed on', async () => {
  const actor_token = await serviceToken(service, orders);
  const towards = { actor_token, audience: 'billing' };
  expect(await exchange(await service.tokenOf('ann@example.com', password, 'orders'), towards)).toBe('OK');
  for (const claims of [
    { act: actors(1) },
    { act: actors(1), client_id: orders.id },
    { client_id: 'exchange' },
  ]) {
    expect(await account.verdict(service, forged(claims))).toBe('OK');
    expect(await exchange(forged(claims))).toBe('TOKEN_REVOKED');
    expect(await exchange(forged(claims), towards)).toBe('TOKEN_REVOKED');
  }
});

test('G03 a forged token of a service account acts for nobody', async () => {
  const subject = await service.tokenOf('ann@example.com', password, 'orders');
  const claims = { sub: orders.id, client_id: orders.id, aud: 'postern', sid: undefined };
  expect(await exchange(subject, { actor_token: forged(claims), audience: 'billing' })).toBe('TOKEN_REVOKED');
});

test('G04 a chain of five is no token at all', async () => {
  expect(await account.verdict(service, forged({ act: actors(4) }))).toBe('OK');
  expect(await account.verdict(service, forged({ act: actors(5) }))).toBe('TOKEN_CLAIMS_INVALID');
});

test('G06 one revokes no session of a user, and changes no password', async () => {
  const token = forged({ act: actors(1), aud: 'postern' });
  expect(await account.revoke(service, token, true)).toBe('CREDENTIAL_NOT_ALLOWED');
  const change = { current_password: password, new_password: 'a staple for the horse' };
  const authorization = `Bearer ${token}`;
  const outcome = await service.call('postern.v1.AuthService/ChangePassword', change, { authorization });
  expect(verdictOf(outcome)).toBe('CREDENTIAL_NOT_ALLOWED');
});
