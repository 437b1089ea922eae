import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { until } from '../support/wait-for.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { type Message, startTestService, type TestService } from '../support/test-service.ts';
import { makeIssuerKey, mint, shapes } from '../support/outside-issuer.ts';
import { anyPorts } from '../support/service-environment.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(`${root}/docs/verifying.md`, 'utf8');
const policyPage = readFileSync(`${root}/docs/policy.md`, 'utf8');
const password = 'correct horse battery';
/** The default of POSTERN_ISSUER, which the page names as well. */
const OWN_ISSUER = 'http://127.0.0.1:8080';
let service: TestService;
let folder: string;

beforeAll(async () => {
  service = await startTestService();
  await service.addUser('demo@example.com', password);
  folder = mkdtempSync(`${tmpdir()}/postern-`);
});
afterAll(async () => {
  await endEveryPostern();
  rmSync(folder, { recursive: true });
  await service.stop();
});

test('every export is documented on the page', () => {
  const source = readFileSync(`${root}/src/client/postern-client.ts`, 'utf8');
  const names = [...source.matchAll(/^export (?:type )?\{ ([^}]+) \}/gm)].flatMap(([, list = '']) =>
    list.split(', '),
  );
  expect(names.length).toBeGreaterThan(30);
  expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(page))).toEqual([]);
});

test('the program on the page runs unchanged', async () => {
  const { id, secret } = await (await openAdminFixture(service.database)).createService('orders');
  const sidecar = await startPostern(['sidecar', '--upstream', service.grpcAddress], {
    environment: {
      POSTERN_CLIENT_ID: id,
      POSTERN_CLIENT_SECRET: secret,
      ...anyPorts,
    },
  }).listening;
  await until(
    async () => (await fetch(`http://${sidecar.http}/readyz`)).status === 200,
    'the sidecar is ready',
  );
  // The files of a project that depends on postern-auth, and the stubs that the page mentions.
  mkdirSync(`${folder}/node_modules`);
  symlinkSync(`${root}/clients/node`, `${folder}/node_modules/postern-auth`);
  symlinkSync(`${root}/node_modules/@grpc`, `${folder}/node_modules/@grpc`);
  writeFileSync(`${folder}/package.json`, '{"type":"module"}');
  symlinkSync(`${root}/node_modules/yaml`, `${folder}/node_modules/yaml`);
  writeFileSync(`${folder}/orders.js`, stubs);
  writeFileSync(`${folder}/token`, await tokenOfWorkload(id));
  const [, policy = ''] = /^```yaml\n(.*?)^```$/ms.exec(policyPage) ?? [];
  writeFileSync(`${folder}/postern-policy.yaml`, policy);
  writeFileSync(
    `${folder}/faulty.json`,
    '{"version": 1, "methods": {"/shop.Orders/List": {"rols": ["admin"]}}}',
  );
  const program = [...page.matchAll(/^```js\n(.*?)^```$/gms)]
    .map(([, block = '']) => block)
    .join('\n')
    .replaceAll('127.0.0.1:50051', service.grpcAddress)
    .replaceAll('127.0.0.1:50061', sidecar.grpc)
    .replaceAll('http://127.0.0.1:8080/.well', `${service.httpUrl}/.well`)
    .replaceAll('/var/run/secrets/tokens/postern', `${folder}/token`);
  writeFileSync(`${folder}/program.js`, program);
  const environment = {
    PASSWORD: password,
    CLIENT_ID: id,
    CLIENT_SECRET: secret,
    API_KEY: await apiKeyOf('demo@example.com'),
  };
  const { stdout } = await promisify(execFile)(process.execPath, ['program.js'], {
    cwd: folder,
    env: { ...environment, PATH: process.env['PATH'] },
    timeout: 20_000,
  });
  expect(stdout.trim().split('\n')).toEqual([
    'logged in true []',
    'keys 1',
    'refused UNAUTHENTICATED INVALID_CREDENTIALS true',
    'the same true',
    'a service true',
    'without a secret orders',
    'verified true user',
    'ready true',
    'by a key api-key true',
    'by the key set true',
    'hours false',
    'list true',
    'look true',
    "cancel the subject lacks the role 'admin'",
    "not used /shop.Orders/List has an unknown member 'rols'; did you mean 'roles'?",
    '401 CREDENTIALS_MISSING Bearer',
    'hello 200 true',
    'by the sidecar true',
    'logged out TOKEN_REVOKED',
  ]);
});

/** Of an issuer that the service trusts, for an identity that is bound to the account. */
async function tokenOfWorkload(account: string): Promise<string> {
  const cluster = 'https://kubernetes.default.svc.cluster.local';
  const key = makeIssuerKey('k1');
  const sub = 'system:serviceaccount:shop:orders';
  await service.addUser('admin@example.com', password, ['admin']);
  const asAdmin = await service.tokenOf('admin@example.com', password);
  const issuer = await call('Admin', 'CreateTrustedIssuer', asAdmin, {
    issuer: cluster,
    kind: 'KUBERNETES',
    keys: { static_jwks: JSON.stringify({ keys: [key.jwk] }) },
  });
  const binding = { issuer_id: issuer['id'], client_id: account, claims: { sub } };
  await call('Admin', 'CreateWorkloadBinding', asAdmin, binding);
  return mint(key, { ...shapes.kubernetes(cluster, OWN_ISSUER), sub });
}

async function apiKeyOf(email: string): Promise<string> {
  const request = { name: 'docs', allowed_networks: ['192.0.2.0/24'] };
  const created = await call('Auth', 'CreateApiKey', await service.tokenOf(email, password), request);
  return created['secret'] as string;
}

async function call(
  name: 'Admin' | 'Auth',
  method: string,
  token: string,
  request: Message,
): Promise<Message> {
  const metadata = { authorization: `Bearer ${token}` };
  const { response, message } = await service.call(`postern.v1.${name}Service/${method}`, request, metadata);
  if (!response) throw new Error(`${method}: ${message}`);
  return response;
}

const stubs = `
import { makeGenericClientConstructor } from '@grpc/grpc-js';
const json = (value) => Buffer.from(JSON.stringify(value));
const back = (bytes) => JSON.parse(bytes);
export const OrdersService = Object.fromEntries(
  ['Hours', 'List', 'Look', 'Cancel', 'Refund'].map((name) => [name.toLowerCase(), {
    path: '/shop.Orders/' + name, requestStream: false, responseStream: false,
    requestSerialize: json, requestDeserialize: back, responseSerialize: json, responseDeserialize: back,
  }]),
);
export const OrdersClient = makeGenericClientConstructor(OrdersService, 'Orders');
`;
