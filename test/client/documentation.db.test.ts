import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { until } from '../support/wait-for.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { anyPorts } from '../support/service-environment.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(`${root}/docs/verifying.md`, 'utf8');
const password = 'correct horse battery';
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
  writeFileSync(`${folder}/orders.js`, stubs);
  const program = [...page.matchAll(/^```js\n(.*?)^```$/gms)]
    .map(([, block = '']) => block)
    .join('\n')
    .replaceAll('127.0.0.1:50051', service.grpcAddress)
    .replaceAll('127.0.0.1:50061', sidecar.grpc)
    .replaceAll('http://127.0.0.1:8080/.well', `${service.httpUrl}/.well`);
  writeFileSync(`${folder}/program.js`, program);
  const environment = { PASSWORD: password, CLIENT_ID: id, CLIENT_SECRET: secret };
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
    'verified true user',
    'ready true',
    'by the key set true',
    'hours false',
    'list true',
    'look true',
    "cancel the subject lacks the role 'admin'",
    '401 CREDENTIALS_MISSING Bearer',
    'hello 200 true',
    'by the sidecar true',
    'logged out TOKEN_REVOKED',
  ]);
});

const stubs = `
import { makeGenericClientConstructor } from '@grpc/grpc-js';
const json = (value) => Buffer.from(JSON.stringify(value));
const back = (bytes) => JSON.parse(bytes);
export const OrdersService = Object.fromEntries(
  ['Hours', 'List', 'Look', 'Cancel'].map((name) => [name.toLowerCase(), {
    path: '/shop.Orders/' + name, requestStream: false, responseStream: false,
    requestSerialize: json, requestDeserialize: back, responseSerialize: json, responseDeserialize: back,
  }]),
);
export const OrdersClient = makeGenericClientConstructor(OrdersService, 'Orders');
`;
