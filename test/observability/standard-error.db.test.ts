import { connect } from 'node:http2';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { until } from '../support/wait-for.ts';
import { endEveryPostern } from '../support/run-postern.ts';
import { startServiceProcess } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await endEveryPostern();
  await database.drop();
});

const linesOf = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);

test('O02 a warning of Node is an ordinary log line', async () => {
  const warnOnSignal = `data:text/javascript,process.on('SIGUSR2',()=>process.emitWarning('of\\u0020something'))`;
  const service = await startServiceProcess(database.url, { NODE_OPTIONS: `--import=${warnOnSignal}` });
  service.running.kill('SIGUSR2');
  await until(() => service.running.output.stderr.includes('of something'), 'the warning is logged');
  await service.stop();
  expect(linesOf(service.running.output.stderr)).toContainEqual(
    expect.objectContaining({ level: 'warn', event: 'node', detail: 'Warning: of something' }),
  );
});

test('O01 an invalid header is not repeated in the log, even when sent many times', async () => {
  const service = await startServiceProcess(database.url);
  const session = connect(`http://${service.grpcAddress}`);
  for (let time = 0; time < 5; time += 1) {
    // grpc-js writes such a line; the fast path has no method of this name.
    const stream = session.request({
      ':method': 'POST',
      ':path': '/postern.v1.AuthService/RevokeToken',
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: 'Bearer a-token-with-\u00e9',
    });
    stream.resume();
    await new Promise((resolve) => stream.on('close', resolve).end());
  }
  session.close();
  await service.stop();
  const { stderr } = service.running.output;
  expect(stderr).not.toContain('a-token-with');
  expect(
    linesOf(stderr).filter((line) => JSON.stringify(line).includes('not valid gRPC metadata')),
  ).toHaveLength(1);
});
