import { fileURLToPath } from 'node:url';

import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { type BareListener, startBareListener } from '../support/bare-listener.ts';

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
});

interface Answer {
  readonly message_response?: string;
  readonly list_services_response?: { service: { name: string }[] };
  readonly file_descriptor_response?: { file_descriptor_proto: Buffer[] };
  readonly error_response?: { error_code: number };
}

/** Asks all in one stream; gives the answers and the code with which it ended. */
function ask(
  version: string,
  questions: readonly (object | Buffer)[],
): Promise<{ answers: Answer[]; code: number }> {
  const service = contract[`grpc.reflection.${version}.ServerReflection`] as grpc.ServiceDefinition;
  const method = service['ServerReflectionInfo'];
  if (!method) throw new Error('the vendored proto has no such method');
  const serialize = (question: object | Buffer) =>
    question instanceof Buffer ? question : method.requestSerialize(question);
  const call = client.makeBidiStreamRequest(method.path, serialize, method.responseDeserialize);
  const answers: Answer[] = [];
  call.on('data', (answer: Answer) => answers.push(answer));
  call.on('error', () => undefined);
  for (const question of questions) call.write(question);
  call.end();
  return new Promise((resolve) => call.once('status', ({ code }) => resolve({ answers, code })));
}

test.each(versions)(
  '%s answers every question of a stream, the first ones at once included',
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
    // What buf curl needs: the files that this one imports come with it or are to be had by name.
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
