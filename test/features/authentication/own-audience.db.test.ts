import { randomUUID } from 'node:crypto';

import { Client, credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { callAny } from '../../support/any-call.ts';
import { bearing, serviceToken } from '../../support/callers.ts';
import { openAdminFixture } from '../../support/admin-fixture.ts';
import { type Message, startTestService, type TestService } from '../../support/test-service.ts';

const AUTH = 'postern.v1.AuthService';
const ADMIN = 'postern.v1.AdminService';
const email = 'admin@example.com';
const password = 'correct horse battery';
const legacySecret = '5f1d0c9b8a7e6d5c4b3a29181706f5e4d3c2b1a0998877665544332211ffeedd';
const sharedSecret = 'b9b1a1e0d6c84f3b9c5a2f7e8d41c6035f7a9e2b1c8d4f60a3e5b7d9f1c2e4a6';
let service: TestService;
let adminId: string;
beforeAll(async () => {
  service = await startTestService({
    POSTERN_AUDIENCE: 'shop,postern',
    POSTERN_API_AUDIENCE: 'postern',
    POSTERN_LEGACY_HS256_SECRET: legacySecret,
    POSTERN_LEGACY_HS256_UNTIL: '2999-01-01',
    POSTERN_LEGACY_HS256_AUDIENCE: 'postern',
  });
  adminId = await service.addUser(email, password, ['admin']);
});
afterAll(() => service.stop());

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const reasonFor = async (
  token: string,
  method = `${ADMIN}/ListUsers`,
  request: Message = {},
  at = service,
) => {
  const { code, reason } = await at.call(method, request, bearer(token));
  return code === status.OK ? 'OK' : reason;
};

test("A02 an administrator's token for another audience is refused, with an audit event", async () => {
  const id = randomUUID();
  const token = await service.tokenOf(email, password);
  const { code, reason, message } = await service.call(
    `${ADMIN}/ListUsers`,
    {},
    {
      ...bearer(token),
      'x-request-id': id,
    },
  );
  expect([code, reason]).toEqual([status.UNAUTHENTICATED, 'TOKEN_CLAIMS_INVALID']);
  expect(message).toContain("the audience 'postern'");
  expect(
    await service.database.query(
      'SELECT action, outcome, reason, actor_type FROM audit_events WHERE request_id = $1',
      [id],
    ),
  ).toEqual([
    { action: 'user.read', outcome: 'refused', reason: 'TOKEN_CLAIMS_INVALID', actor_type: 'anonymous' },
  ]);
  expect(await reasonFor(await service.tokenOf(email, password, 'postern'))).toBe('OK');
});

test('A02 a watcher with a token for another audience is refused, with an audit event', async () => {
  const account = await (await openAdminFixture(service.database)).createService('watcher');
  const watch = 'postern.v1.TrustService/WatchTrust';
  const events = async () =>
    service.database.query(`SELECT reason FROM audit_events WHERE action = 'trust.watch'`);
  const client = new Client(service.grpcAddress, credentials.createInsecure());
  const watched = async (token: string) => {
    const { code, reason } = await callAny(client, watch, [{}], bearing(token));
    return code === status.OK ? 'OK' : reason;
  };
  try {
    expect(await watched(await serviceToken(service, account, 'postern'))).toBe('OK');
    expect(await events()).toEqual([]);
    expect(await watched(await serviceToken(service, account))).toBe('TOKEN_CLAIMS_INVALID');
    expect(await events()).toEqual([{ reason: 'TOKEN_CLAIMS_INVALID' }]);
  } finally {
    client.close();
  }
});

test('A02 public methods accept a token for any audience', async () => {
  const { response } = await service.call(`${AUTH}/Login`, { email, password });
  const { access_token, refresh_token } = response as { access_token: string; refresh_token: string };
  const verify = async () => (await service.call(`${AUTH}/VerifyToken`, { access_token })).reason;
  expect(await verify()).toBeUndefined();
  expect((await service.call(`${AUTH}/RefreshToken`, { refresh_token })).code).toBe(status.OK);
  expect((await service.call(`${AUTH}/RevokeToken`, { token: access_token })).code).toBe(status.OK);
  expect(await verify()).toBe('TOKEN_REVOKED');
});

test('A02 L16 only a token for the own audience changes a password, and the new session has that audience', async () => {
  await service.addUser('ann@example.com', password);
  const change = { current_password: password, new_password: 'a staple for the horse' };
  const forShop = await service.tokenOf('ann@example.com', password);
  expect(await reasonFor(forShop, `${AUTH}/ChangePassword`, change)).toBe('TOKEN_CLAIMS_INVALID');
  const token = await service.tokenOf('ann@example.com', password, 'postern');
  const { response } = await service.call(`${AUTH}/ChangePassword`, change, bearer(token));
  const { refresh_token } = response as { refresh_token: string };
  const refreshed = await service.call(`${AUTH}/RefreshToken`, { refresh_token });
  for (const given of [response, refreshed.response]) {
    const verified = await service.call(`${AUTH}/VerifyToken`, { access_token: given?.['access_token'] });
    expect(verified.response).toMatchObject({ audience: ['postern'] });
  }
});

test('A02 L12 the `client` of a service is trusted only with a token for the own audience', async () => {
  const account = await (await openAdminFixture(service.database)).createService('gateway');
  const originBy = async (token: string) => {
    const request = { email, password: 'wrong', client: { address: '192.0.2.7' } };
    await service.call(`${AUTH}/Login`, request, bearer(token));
    const [event] = await service.database.query(
      `SELECT host(client_address) AS address FROM audit_events WHERE action = 'login' AND outcome = 'refused'
       ORDER BY id DESC LIMIT 1`,
    );
    return event?.['address'];
  };
  expect(await originBy(await serviceToken(service, account))).toBeNull();
  const notTrustedLines = service.logLines.filter((line) => line.includes('client-not-believed'));
  expect(notTrustedLines.join()).toContain(
    "TOKEN_CLAIMS_INVALID: this method needs a token for the audience 'postern'",
  );
  expect(await originBy(await serviceToken(service, account, 'postern'))).toBe('192.0.2.7');
});

test('A02 T27 a legacy HS256 token is refused here, were its user an administrator and its audience ours', async () => {
  const claims = { sub: adminId, aud: 'postern', roles: ['admin'] };
  const token = jwt.sign(claims, legacySecret, { expiresIn: 600 });
  const { code, response } = await service.call(`${AUTH}/VerifyToken`, { access_token: token });
  expect(code).toBe(status.OK);
  expect(response).toMatchObject({ subject: adminId, audience: [], roles: [], issuer: '' });
  for (const method of [`${ADMIN}/ListUsers`, `${AUTH}/ChangePassword`])
    expect(await reasonFor(token, method)).toBe('TOKEN_CLAIMS_INVALID');
});

test('A02 in HS256 mode the audience claim is required, whoever signed the token', async () => {
  const shared = await startTestService({
    POSTERN_AUDIENCE: 'shop,postern',
    POSTERN_API_AUDIENCE: 'postern',
    POSTERN_ALGORITHM: 'HS256',
    POSTERN_SECRET: sharedSecret,
  });
  try {
    const subject = await shared.addUser(email, password, ['admin']);
    const signed = (audience?: string | string[]) =>
      jwt.sign({ roles: ['admin'], ...(audience !== undefined && { aud: audience }) }, sharedSecret, {
        issuer: 'http://127.0.0.1:8080',
        subject,
        expiresIn: 600,
      });
    const verdict = (audience?: string | string[]) =>
      reasonFor(signed(audience), `${ADMIN}/ListUsers`, {}, shared);
    expect([await verdict(), await verdict([]), await verdict('shop')]).toEqual([
      'TOKEN_CLAIMS_INVALID',
      'TOKEN_CLAIMS_INVALID',
      'TOKEN_CLAIMS_INVALID',
    ]);
    expect([await verdict('postern'), await verdict(['shop', 'postern'])]).toEqual(['OK', 'OK']);
  } finally {
    await shared.stop();
  }
});
