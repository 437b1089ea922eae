import { fileURLToPath } from 'node:url';

import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { type BareListener, startBareListener } from '../support/bare-listener.ts';
import { ENOUGH_FILES, limitOpenFiles, NO_MORE_FILES } from '../support/open-files.ts';
import { endEveryPostern } from '../support/run-postern.ts';
import { startServiceProcess } from '../support/service-process.ts';
import { createTestDatabase } from '../support/test-database.ts';

const versions = ['v1', 'v1alpha'];
const contract = loadSync(
  versions.map((version) => `grpc/reflection/${version}/reflection.proto`),
  {
    includeDirs: [fileURLToPath(new URL('../../proto/vendor', import.meta.url))],
    keepCase: true,
    defaults: true,
    oneofs: true,
  },
);

let listener: BareListener;
let client: grpc.Client;
beforeAll(async () => {
  listener = await startBareListener({ reflection: true });
  client = new grpc.Client(listener.address, grpc.credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await listener.stop();
  await endEveryPostern();
});

interface Answer {
  readonly message_response?: string;
  readonly list_services_response?: { service: { name: string }[] };
  readonly file_descriptor_response?: { file_descriptor_proto: Buffer[] };
  readonly error_response?: { error_code: number };
}

/** Sends all questions in one stream. @returns the answers and the status of the stream */
function ask(
  version: string,
  questions: readonly (object | Buffer)[],
  at = client,
): Promise<{ answers: Answer[]; code: number; details: string }> {
  const service = contract[`grpc.reflection.${version}.ServerReflection`] as grpc.ServiceDefinition;
  const method = service['ServerReflectionInfo'];
  if (!method) throw new Error('the vendored proto has no such method');
  const serialize = (question: object | Buffer) =>
    question instanceof Buffer ? question : method.requestSerialize(question);
  const call = at.makeBidiStreamRequest(method.path, serialize, method.responseDeserialize);
  const answers: Answer[] = [];
  call.on('data', (answer: Answer) => answers.push(answer));
  call.on('error', () => undefined);
  for (const question of questions) call.write(question);
  call.end();
  return new Promise((resolve) =>
    call.once('status', ({ code, details }) => resolve({ answers, code, details })),
  );
}

test.each(versions)(
  '%s answers every question of a stream, also in the first two streams at the same time',
  async (version) => {
    const questions = [
      { list_services: '' },
      { file_containing_symbol: 'postern.v1.AuthService.Login' },
      { file_by_filename: 'google/protobuf/timestamp.proto' },
      { file_containing_symbol: 'postern.v1.Nothing' },
    ];
    const [first, second] = await Promise.all([ask(version, questions), ask(version, questions)]);
    expect(second).toEqual(first);
    const [list, login, timestamp, nothing] = first.answers;
    expect(list?.list_services_response?.service.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'postern.v1.AuthService',
        'envoy.service.auth.v3.Authorization',
        'grpc.health.v1.Health',
      ]),
    );
    const texts = login?.file_descriptor_response?.file_descriptor_proto.map(String) ?? [];
    // For buf curl, the imports of this file must come with it or be available by name.
    expect(texts.some((text) => text.includes('postern/v1/auth.proto'))).toBe(true);
    expect(String(timestamp?.file_descriptor_response?.file_descriptor_proto[0])).toContain('Timestamp');
    expect(nothing?.error_response?.error_code).toBe(grpc.status.NOT_FOUND);
    expect(first.code).toBe(grpc.status.OK);
  },
);

test('a question that cannot be decoded ends its stream and nothing else', async () => {
  expect(await ask('v1', [Buffer.from('0aff', 'hex')])).toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
  expect((await ask('v1', [{ list_services: '' }])).answers).toHaveLength(1);
});

const onLinux = process.platform === 'linux' ? test : test.skip;
onLinux(
  'a stream while no file can be opened gets INTERNAL without details, and the next stream tries again',
  async () => {
    const database = await createTestDatabase();
    const service = await startServiceProcess(database.url, { POSTERN_REFLECTION: 'on' });
    const otherClient = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
    const list = () => ask('v1', [{ list_services: '' }], otherClient);
    await new Promise((resolve) => otherClient.waitForReady(Date.now() + 60_000, resolve));

    limitOpenFiles(service.pid, NO_MORE_FILES);
    const refused = [await list(), await list()];
    limitOpenFiles(service.pid, ENOUGH_FILES);
    const details = 'internal error; report the x-request-id of this call to the operator';
    expect(refused).toEqual(refused.map(() => ({ answers: [], code: grpc.status.INTERNAL, details })));
    expect(await list()).toMatchObject({ code: grpc.status.OK, answers: [{}] });
    const logged = service.running.output.stderr
      .split('\n')
      .filter((line) => line.includes('/ServerReflectionInfo'))
      .map((line) => JSON.parse(line) as { level: string; cause: { message: string } });
    expect(logged).toMatchObject(refused.map(() => ({ level: 'error', event: 'call', code: 'INTERNAL' })));
    expect(logged[0]?.cause.message).toContain('too many open files');
    otherClient.close();
    await service.stop();
    await database.drop();
  },
);
