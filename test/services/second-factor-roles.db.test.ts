import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { authenticateBy } from '../../src/rpc/authenticate.ts';
import type { Call } from '../../src/rpc/call.ts';
import { methodTable } from '../../src/rpc/method-table.ts';
import { verdictOf } from '../support/account.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { callAny } from '../support/any-call.ts';
import { callOverHttp } from '../support/call-over-http.ts';
import { bearing, serviceToken } from '../support/callers.ts';
import { addTotp, bearer, type TestFactor, totpOf } from '../support/second-factors.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { type Message, startTestService, type TestService } from '../support/test-service.ts';

const password = 'correct horse battery';
const adminMethods = Object.entries(methodTable)
  .filter(([, { access }]) => access === 'admin')
  .map(([path, { audit }]) => ({ method: path.slice(1), action: audit?.action }));

let database: TestDatabase;
/** Without a policy, as before the operator set one. */
let before: TestService;
let service: TestService;
let separate: TestService;
let client: grpc.Client;
let factor: TestFactor;
/** Of the administrator, from before the policy: of level `aal1`, with the role. */
let old: string;
let adminId: string;
let aal1: string;
let aal2: string;
/** An API key from before the policy. */
let oldKey: string;

beforeAll(async () => {
  database = await createTestDatabase();
  const common = { POSTERN_AUDIENCE: 'postern,shop', POSTERN_TRUSTED_PROXIES: '127.0.0.0/8' };
  before = await startTestService(common, database);
  const policy = { ...common, POSTERN_SECOND_FACTOR_ROLES: 'admin, operator' };
  service = await startTestService({ ...policy, POSTERN_HTTP_RPC: 'admin' }, database);
  separate = await startTestService({ ...policy, POSTERN_ADMIN_LISTEN: '127.0.0.1:0' }, database);
  client = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
  adminId = await before.addUser('ada@example.com', password, ['admin', 'reader']);
  // A token of before the user had a factor; its session goes on.
  aal1 = await service.tokenOf('ada@example.com', password);
  const api_key = { name: 'old', roles: ['admin', 'reader'] };
  old = await before.tokenOf('ada@example.com', password);
  const made = await before.call('postern.v1.AuthService/CreateApiKey', api_key, bearer(old));
  oldKey = String(made.response?.['secret']);
});
afterAll(async () => {
  client.close();
  await separate.stop();
  await service.stop();
  await before.stop();
  await database.drop();
});

const call = (method: string, request: Message, token: string) =>
  service.call(`postern.v1.AuthService/${method}`, request, bearer(token));
const rolesOf = async (token: unknown) => {
  const { response, message } = await service.call('postern.v1.AuthService/VerifyToken', {
    access_token: token,
  });
  if (!response) throw new Error(message);
  return response['roles'];
};
const exchanged = async (subject_token: string, request: Message = {}) => {
  const { response, message } = await service.call('postern.v1.AuthService/ExchangeToken', {
    subject_token,
    ...request,
  });
  if (!response) throw new Error(message);
  return String(response['access_token']);
};

describe('M32 a role of POSTERN_SECOND_FACTOR_ROLES', () => {
  test('is left out of a token of level aal1, which keeps the other roles', async () => {
    expect(await rolesOf(aal1)).toEqual(['reader']);
    expect(await rolesOf(old)).toEqual(['admin', 'reader']);
  });

  test('nobody is locked out: the call that confirms the first factor returns a token with it, and so do refreshes', async () => {
    const login = await service.call('postern.v1.AuthService/Login', { email: 'ada@example.com', password });
    factor = await addTotp(service, String(login.response?.['access_token']));
    expect(await rolesOf(factor.accessToken)).toEqual(['admin', 'reader']);
    const refreshed = await separate.call('postern.v1.AuthService/RefreshToken', {
      refresh_token: login.response?.['refresh_token'],
    });
    expect(await rolesOf(refreshed.response?.['access_token'])).toEqual(['admin', 'reader']);
    aal2 = factor.accessToken;
    // The other sessions ended; the tests below need some of level aal1.
    await database.query('UPDATE factors SET confirmed_at = NULL, pending_until = now() WHERE user_id = $1', [
      adminId,
    ]);
    aal1 = await service.tokenOf('ada@example.com', password);
    old = await before.tokenOf('ada@example.com', password);
    await database.query('UPDATE factors SET confirmed_at = now(), pending_until = NULL WHERE user_id = $1', [
      adminId,
    ]);
  });
});

describe('M33 AdminService', () => {
  const listUsers = 'postern.v1.AdminService/ListUsers';

  test('every method asks an administrator below aal2 to step up, and audits it', async () => {
    const verdicts = await Promise.all(
      adminMethods.map(async ({ method }, index) => {
        const metadata = bearing(aal1);
        metadata.set('x-request-id', `level-${index}`);
        metadata.set('x-forwarded-for', `192.0.2.${index}`);
        const { code, reason } = await callAny(client, method, [{}], metadata);
        return `${grpc.status[code]} ${reason}`;
      }),
    );
    expect(new Set(verdicts)).toEqual(new Set(['UNAUTHENTICATED STEP_UP_REQUIRED']));
    const events = await database.query(
      `SELECT action, outcome, reason, actor_type, actor_id FROM audit_events
       WHERE request_id LIKE 'level-%' ORDER BY substring(request_id FROM 7)::int`,
    );
    expect(events).toEqual(
      adminMethods.map(({ action }) => ({
        action,
        outcome: 'refused',
        reason: 'STEP_UP_REQUIRED',
        actor_type: 'user',
        actor_id: adminId,
      })),
    );
  });

  test('a token from before the policy has the role, and must step up all the same', async () => {
    expect(await rolesOf(old)).toContain('admin');
    expect(verdictOf(await service.call(listUsers, {}, bearer(old)))).toBe('STEP_UP_REQUIRED');
    const stepped = await call('StepUp', { code: totpOf(factor.secret) }, old);
    const raised = String(stepped.response?.['access_token']);
    expect(verdictOf(await service.call(listUsers, {}, bearer(raised)))).toBe('OK');
  });

  test('on a listener of its own and over HTTP as well', async () => {
    const admin = new grpc.Client(String(separate.adminAddress), grpc.credentials.createInsecure());
    try {
      const refused = await callAny(admin, listUsers, [{}], bearing(aal1));
      expect(verdictOf(refused)).toBe('STEP_UP_REQUIRED');
      expect(verdictOf(await callAny(admin, listUsers, [{}], bearing(aal2)))).toBe('OK');
    } finally {
      admin.close();
    }
    const url = `${service.httpUrl}/${listUsers}`;
    const refused = await callOverHttp(url, {}, bearer(aal1));
    expect([refused.status, refused.reason]).toEqual([401, 'STEP_UP_REQUIRED']);
    expect((await callOverHttp(url, {}, bearer(aal2))).status).toBe(200);
  });

  test('a derived token is never asked to step up', async () => {
    const derived = await exchanged(old);
    expect(await rolesOf(derived)).toContain('admin');
    expect(verdictOf(await service.call(listUsers, {}, bearer(derived)))).toBe('ADMIN_REQUIRED');
    const raised = await exchanged(aal2);
    expect(verdictOf(await service.call(listUsers, {}, bearer(raised)))).toBe('OK');
  });

  test('M34 client certificates are exempt: the level of a token is not asked for', async () => {
    const name = 'spiffe://example.org/operator';
    const authenticate = authenticateBy({ service: [], admin: [name] }, () => {
      throw new Error('a token was asked for');
    });
    const certified = { authorization: [], clientNames: [name] } as unknown as Call;
    expect(await authenticate('admin', certified)).toMatchObject({ type: 'certificate', roles: ['admin'] });
  });

  test('M34 service accounts are exempt', async () => {
    const fixture = await openAdminFixture(database);
    const token = await serviceToken(service, await fixture.createService('robot', ['admin']));
    expect(await rolesOf(token)).toEqual(['admin']);
    expect(verdictOf(await service.call(listUsers, {}, bearer(token)))).toBe('OK');
  });
});

describe('M35 API keys of users', () => {
  test('are not given such a role, by the user and by an administrator', async () => {
    const api_key = { name: 'new', roles: ['reader', 'admin'] };
    const own = await call('CreateApiKey', api_key, aal2);
    const forUser = await service.call(
      'postern.v1.AdminService/CreateApiKey',
      { user_id: adminId, api_key },
      bearer(aal2),
    );
    for (const { reason, message } of [own, forUser]) {
      expect(reason).toBe('FIELD_INVALID');
      expect(message).toMatch(/roles: must be without admin/);
    }
    expect(verdictOf(await call('CreateApiKey', { ...api_key, roles: ['reader'] }, aal2))).toBe('OK');
  });

  test('from before the policy lose it, at every use and when they are rotated', async () => {
    expect(await rolesOf(oldKey)).toEqual(['reader']);
    const listed = await service.call('postern.v1.AdminService/ListUsers', {}, bearer(oldKey));
    expect(verdictOf(listed)).toBe('ADMIN_REQUIRED');
    const token = await exchanged(oldKey);
    expect(await rolesOf(token)).toEqual(['reader']);
    const { response } = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
    expect(response).toMatchObject({ acr: '', amr: [], authenticated_at: null });
    const { response: keys } = await call('ListApiKeys', {}, aal2);
    const { id } = (keys?.['api_keys'] as { id: string; name: string }[]).find(
      ({ name }) => name === 'old',
    ) ?? { id: '' };
    const rotated = await call('RotateApiKey', { id, overlap: 0 }, aal2);
    expect((rotated.response?.['api_key'] as Message)['roles']).toEqual(['reader']);
  });

  test('the key of a service account keeps it', async () => {
    const fixture = await openAdminFixture(database);
    const { id } = await fixture.createService('key-robot', ['admin']);
    const api_key = { name: 'robot', roles: ['admin'] };
    const request = { client_id: id, api_key };
    const made = await service.call('postern.v1.AdminService/CreateApiKey', request, bearer(aal2));
    expect(await rolesOf(made.response?.['secret'])).toEqual(['admin']);
  });
});

test('M36 a derived token has the level of what it is derived from, and its auth_time', async () => {
  for (const subject of [aal1, aal2]) {
    const claims = async (token: string) => {
      const { response } = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
      const { acr, amr, authenticated_at, roles } = response ?? {};
      return { acr, amr, authenticated_at, roles };
    };
    expect(await claims(await exchanged(subject, { audience: 'shop' }))).toEqual(await claims(subject));
  }
});
