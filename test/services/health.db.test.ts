import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { type BareListener, startBareListener } from '../support/bare-listener.ts';
import { until } from '../support/wait-for.ts';
import { invoke, methodOf } from '../support/test-service.ts';

let listener: BareListener;
let client: grpc.Client;
beforeEach(async () => {
  const health = { processReady: ['', 'login'], verificationReady: ['verify'] };
  listener = await startBareListener({ health });
  client = new grpc.Client(listener.address, grpc.credentials.createInsecure());
});
afterEach(async () => {
  client.close();
  await listener.stop();
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
    until: (count: number) => until(() => seen.length >= count, `${count} states are received`),
  };
}

test('each group has a serving status of its own', async () => {
  listener.server.setServing('verificationReady', true);
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

test('an unknown service is NOT_FOUND for Check and SERVICE_UNKNOWN for Watch, whose stream stays open', async () => {
  expect(await check('other')).toMatchObject({ code: grpc.status.NOT_FOUND });
  expect(await check('__proto__')).toMatchObject({ code: grpc.status.NOT_FOUND });
  const other = watch('other');
  const known = watch('');
  await Promise.all([other.until(1), known.until(1)]);
  listener.server.setServing('processReady', true);
  await known.until(2);
  expect([other.seen, known.seen]).toEqual([['SERVICE_UNKNOWN'], ['NOT_SERVING', 'SERVING']]);
});

test('a watcher gets each change once, and NOT_SERVING before its stream ends at shutdown', async () => {
  const login = watch('login');
  await login.until(1);
  for (const [index, serving] of [true, false, true].entries()) {
    listener.server.setServing('processReady', serving);
    listener.server.setServing('processReady', serving);
    await login.until(index + 2);
  }
  await listener.stop();
  expect(await login.end).toMatchObject({ code: grpc.status.UNAVAILABLE });
  expect(login.seen).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING', 'SERVING', 'NOT_SERVING']);
});
