import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { openAdminFixture } from '../../support/admin-fixture.ts';
import { endEveryPostern, runPostern, startPostern } from '../../support/run-postern.ts';
import { anyPorts } from '../../support/service-environment.ts';
import { invoke, startTestService, type TestService } from '../../support/test-service.ts';
import { until } from '../../support/wait-for.ts';
import { checkedBy, type CheckServer } from './check.ts';

const secret = 'b9b1a1e0d6c84f3b9c5a2f7e8d41c6035f7a9e2b1c8d4f60a3e5b7d9f1c2e4a6';
const folder = mkdtempSync(join(tmpdir(), 'postern-policy-'));
const policyFile = join(folder, 'postern-policy.yaml');
const policy = `version: 1
methods:
  /shop.Orders/Hours: public
  /shop.Orders/List: {}
  /shop.Orders/Cancel: {roles: [admin]}
  /shop.Orders/Export: {audience: billing}
  /shop.Orders/Refund: {roles: [agent], actors: [support]}
  /shop.Orders/Pay: {min_acr: aal1, max_auth_age: 300}
  /shop.Orders/Bill: {audience: billing, min_acr: aal2}
`;
let service: TestService;

const signed = (claims: object) =>
  jwt.sign(claims, secret, { issuer: 'http://127.0.0.1:8080', subject: 'someone', expiresIn: 600 });
const user = (facts: object = {}) => signed({ aud: 'postern', ...facts });

beforeAll(async () => {
  writeFileSync(policyFile, policy);
  service = await startTestService({
    POSTERN_ALGORITHM: 'HS256',
    POSTERN_SECRET: secret,
    POSTERN_AUDIENCE: 'postern,billing',
    POSTERN_POLICY_FILE: policyFile,
  });
});
afterAll(async () => {
  await endEveryPostern();
  await service.stop();
  rmSync(folder, { recursive: true });
});

/** `200`, or the HTTP status and the reason of the denial. */
async function verdict(
  path: string,
  token: string | null,
  extensions: Record<string, string> = {},
  server: CheckServer = service,
): Promise<string> {
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const { allowed, http, body } = await checkedBy(server, { path, headers }, extensions);
  return allowed ? '200' : `${http} ${body.reason}`;
}

describe('G26 Check with a policy file', () => {
  test('applies the rule of the path, without any configuration of routes', async () => {
    expect(await verdict('/shop.Orders/Hours', null)).toBe('200');
    expect(await verdict('/shop.Orders/Hours', 'junk')).toBe('200');
    expect(await verdict('/shop.Orders/List', null)).toBe('401 CREDENTIALS_MISSING');
    expect(await verdict('/shop.Orders/List', 'junk')).toBe('401 TOKEN_MALFORMED');
    expect(await verdict('/shop.Orders/List', user())).toBe('200');
    expect(await verdict('/shop.Orders/Cancel', user({ roles: ['reader'] }))).toBe('403 ROLE_MISSING');
    expect(await verdict('/shop.Orders/Cancel', user({ roles: ['admin'] }))).toBe('200');
    expect(await verdict('/shop.Orders/Export', user())).toBe('401 TOKEN_CLAIMS_INVALID');
    expect(await verdict('/shop.Orders/Export', user({ aud: 'billing' }))).toBe('200');
    const agent = { roles: ['agent'] };
    expect(await verdict('/shop.Orders/Refund', user(agent))).toBe('403 ACTOR_NOT_ALLOWED');
    const through = (act: object) => verdict('/shop.Orders/Refund', user({ ...agent, act }));
    expect(await through({ sub: '1', name: 'support' })).toBe('200');
    expect(await through({ sub: '1', name: 'shop', act: { sub: '2', name: 'support' } })).toBe(
      '403 ACTOR_NOT_ALLOWED',
    );
  });

  test('refuses a path that is not listed, and every other way to write one that is', async () => {
    const admin = user({ roles: ['admin'] });
    for (const path of [
      '/shop.Orders/Nothing',
      '/shop.Orders/cancel',
      '/shop.Orders/Cancel/',
      '//shop.Orders/Cancel',
      '/shop.Orders/Canc%65l',
      '/x/../shop.Orders/Cancel',
      '/',
      '',
    ])
      expect([path, await verdict(path, admin)]).toEqual([path, '403 METHOD_NOT_LISTED']);
    expect(await verdict('/shop.Orders/Cancel?encoding=json', user())).toBe('403 ROLE_MISSING');
    expect(await verdict('/shop.Orders/Cancel?encoding=json', admin)).toBe('200');
  });

  test('allows nothing that the route refuses, and the other way round', async () => {
    const admin = user({ roles: ['admin'] });
    expect(await verdict('/shop.Orders/Hours', null, { audience: 'postern' })).toBe(
      '401 CREDENTIALS_MISSING',
    );
    expect(await verdict('/shop.Orders/Hours', null, { mode: 'optional' })).toBe('200');
    expect(await verdict('/shop.Orders/Hours', null, { strip_token: 'true' })).toBe('200');
    expect(await verdict('/shop.Orders/List', null, { mode: 'optional' })).toBe('401 CREDENTIALS_MISSING');
    expect(await verdict('/shop.Orders/Cancel', admin, { roles_any: 'agent' })).toBe('403 ROLE_MISSING');
    expect(await verdict('/shop.Orders/Cancel', user({ roles: ['agent'] }), { roles_any: 'agent' })).toBe(
      '403 ROLE_MISSING',
    );
    expect(await verdict('/shop.Orders/Nothing', admin, { mode: 'optional' })).toBe('403 METHOD_NOT_LISTED');
    expect(await verdict('/shop.Orders/Cancel', admin, { role: 'x' })).toBe('503 ROUTE_MISCONFIGURED');
  });

  test('M41 of the level in the file and that of the route, the strictest counts', async () => {
    const at = (acr: string, age: number) => user({ acr, auth_time: Math.floor(Date.now() / 1000) - age });
    const pay = async (token: string, extensions: Record<string, string>) => {
      const headers = { authorization: `Bearer ${token}` };
      const checked = await checkedBy(service, { path: '/shop.Orders/Pay', headers }, extensions);
      return checked.allowed ? 'allowed' : checked.headers['www-authenticate'];
    };
    const challenge = (parameters: string) =>
      `Bearer realm="postern", error="insufficient_user_authentication", ${parameters}`;
    expect(await pay(at('aal1', 200), {})).toBe('allowed');
    expect(await pay(at('aal1', 400), {})).toBe(challenge('acr_values="aal1", max_age="300"'));
    expect(await pay(user(), {})).toBe(challenge('acr_values="aal1", max_age="300"'));
    const higher = { min_acr: 'aal2', max_auth_age: '600' };
    expect(await pay(at('aal1', 200), higher)).toBe(challenge('acr_values="aal2", max_age="300"'));
    expect(await pay(at('aal2', 400), higher)).toBe(challenge('acr_values="aal2", max_age="300"'));
    expect(await pay(at('aal2', 200), higher)).toBe('allowed');
    expect(await pay(at('aal2', 200), { max_auth_age: '100' })).toBe(
      challenge('acr_values="aal1", max_age="100"'),
    );
    expect(await verdict('/shop.Orders/Hours', at('aal1', 0), { min_acr: 'aal2' })).toBe(
      '401 STEP_UP_REQUIRED',
    );
  });

  test('M41 nobody is asked to step up for a token without the audience', async () => {
    const audience = { audience: 'billing' };
    expect(await verdict('/shop.Orders/Bill', user())).toBe('401 TOKEN_CLAIMS_INVALID');
    expect(await verdict('/shop.Orders/Export', user(), { min_acr: 'aal2' })).toBe(
      '401 TOKEN_CLAIMS_INVALID',
    );
    expect(await verdict('/shop.Orders/Pay', user(), audience)).toBe('401 TOKEN_CLAIMS_INVALID');
    const other = { audience: 'postern', min_acr: 'aal2' };
    expect(await verdict('/shop.Orders/Export', user(), other)).toBe('401 TOKEN_CLAIMS_INVALID');
    expect(await verdict('/shop.Orders/Bill', user({ aud: 'billing' }))).toBe('401 STEP_UP_REQUIRED');
  });

  test('E02 a public method gets none of the client’s identity headers', async () => {
    const headers = { 'x-postern-subject': 'root', x_postern_roles: 'admin' };
    const { allowed, set, removed } = await checkedBy(service, { path: '/shop.Orders/Hours', headers });
    expect([allowed, set]).toEqual([true, {}]);
    expect(removed).toEqual(
      expect.arrayContaining(['x-postern-subject', 'x_postern_roles', 'x-postern-roles']),
    );
  });

  test('names the roles of the rule in the challenge', async () => {
    const { headers } = await checkedBy(service, {
      path: '/shop.Orders/Cancel',
      headers: { authorization: `Bearer ${user()}` },
    });
    expect(headers['www-authenticate']).toBe(
      'Bearer realm="postern", error="insufficient_scope", scope="admin"',
    );
  });
});

test('G26 a sidecar applies the policy file', async () => {
  const central = await startTestService();
  const { id, secret: clientSecret } = await (
    await openAdminFixture(central.database)
  ).createService('sidecar');
  await central.addUser('ann@example.com', 'correct horse battery', ['reader']);
  const token = await central.tokenOf('ann@example.com', 'correct horse battery');
  const sidecar = startPostern(['sidecar', '--upstream', central.grpcAddress], {
    environment: {
      ...anyPorts,
      POSTERN_CLIENT_ID: id,
      POSTERN_CLIENT_SECRET: clientSecret,
      POSTERN_POLICY_FILE: policyFile,
    },
  });
  const client = new grpc.Client((await sidecar.listening).grpc, grpc.credentials.createInsecure());
  const server: CheckServer = { call: (method, request) => invoke(client, method, request) };
  expect(await verdict('/shop.Orders/Hours', null, {}, server)).toBe('200');
  expect(await verdict('/shop.Orders/Nothing', token, {}, server)).toBe('403 METHOD_NOT_LISTED');
  await until(
    async () => (await verdict('/shop.Orders/List', token, {}, server)) === '200',
    'the sidecar is ready',
  );
  expect(await verdict('/shop.Orders/Cancel', token, {}, server)).toBe('403 ROLE_MISSING');
  client.close();
  await central.stop();
});

test('G25 a bad policy file fails the start with exit code 3 and names its faults', async () => {
  const bad = join(folder, 'bad.yaml');
  writeFileSync(bad, 'version: 1\nmethods:\n  /a.B/C: {rols: [admin]}\n');
  const end = await runPostern(['sidecar', '--upstream', service.grpcAddress], {
    environment: { ...anyPorts, POSTERN_POLICY_FILE: bad },
  });
  expect(end.exitCode).toBe(3);
  expect(end.stderr).toContain(
    "POSTERN_POLICY_FILE: line 3: /a.B/C has an unknown member 'rols'; did you mean 'roles'?",
  );
});
