import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { GrpcServer } from '../../src/grpc/grpc-server.ts';
import type { Gate } from '../../src/grpc/let-in.ts';
import { formatListenAddress } from '../../src/domain/listen-address.ts';
import { until } from '../support/condition.ts';
import { invoke, methodOf } from '../support/test-service.ts';

const gate: Gate = {
  authenticate: () => Promise.reject(new Error('nobody is asked')),
  writeAudit: () => Promise.resolve(),
  refusals: { take: () => null, missed: () => undefined },
  onUnwritten: () => undefined,
};

let server: GrpcServer;
let client: grpc.Client;
beforeEach(async () => {
  server = new GrpcServer({
    services: () => undefined,
    gate,
    health: { everything: ['', 'login'], verification: ['verify'] },
    reflection: false,
    onFinish: () => undefined,
  });
  const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, null);
  client = new grpc.Client(formatListenAddress(address), grpc.credentials.createInsecure());
});
afterEach(async () => {
  client.close();
  await server.stop({ delayMs: 0, graceMs: 100 });
});

const check = (service: string) => invoke(client, 'grpc.health.v1.Health/Check', { service });

function watch(service: string) {
  const { path, requestSerialize, responseDeserialize } = methodOf('grpc.health.v1.Health/Watch');
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service });
  const seen: string[] = [];
  call.on('data', ({ status }: { status: string }) => seen.push(status));
  call.on('error', () => undefined);
  const end = new Promise<grpc.StatusObject>((resolve) => call.once('status', resolve));
  return {
    seen,
    end,
    until: (count: number) => until(() => seen.length >= count, `${count} states are told`),
  };
}

test('a group serves when somebody says so, and the others do not', async () => {
  server.setServing('verification', true);
  const states = await Promise.all(['', 'login', 'verify'].map(async (name) => (await check(name)).response));
  expect(states).toEqual([{ status: 'NOT_SERVING' }, { status: 'NOT_SERVING' }, { status: 'SERVING' }]);
  const { response } = await invoke(client, 'grpc.health.v1.Health/List', {});
  expect(response).toEqual({
    statuses: {
      '': { status: 'NOT_SERVING' },
      login: { status: 'NOT_SERVING' },
      verify: { status: 'SERVING' },
    },
  });
});

test('an unknown service is NOT_FOUND to a check, and SERVICE_UNKNOWN to a watcher, who stays', async () => {
  expect(await check('other')).toMatchObject({ code: grpc.status.NOT_FOUND });
  expect(await check('__proto__')).toMatchObject({ code: grpc.status.NOT_FOUND });
  const other = watch('other');
  const known = watch('');
  await Promise.all([other.until(1), known.until(1)]);
  server.setServing('everything', true);
  await known.until(2);
  expect([other.seen, known.seen]).toEqual([['SERVICE_UNKNOWN'], ['NOT_SERVING', 'SERVING']]);
});

test('a watcher is told of each change once, and that the service stops before its stream ends', async () => {
  const login = watch('login');
  await login.until(1);
  for (const [index, serving] of [true, false, true].entries()) {
    server.setServing('everything', serving);
    server.setServing('everything', serving);
    await login.until(index + 2);
  }
  await server.stop({ delayMs: 0, graceMs: 100 });
  expect(await login.end).toMatchObject({ code: grpc.status.UNAVAILABLE });
  expect(login.seen).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING', 'SERVING', 'NOT_SERVING']);
});
