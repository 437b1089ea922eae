import { fileURLToPath } from 'node:url';

import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const contract = loadSync('grpc/reflection/v1/reflection.proto', {
  includeDirs: [fileURLToPath(new URL('../../proto/vendor', import.meta.url))],
  keepCase: true,
  defaults: true,
  oneofs: true,
});

export interface ReflectionAnswer {
  readonly list_services_response?: { service: { name: string }[] };
  readonly file_descriptor_response?: { file_descriptor_proto: Buffer[] };
  readonly error_response?: { error_code: number };
}

/** Sends questions in one stream of server reflection v1. */
export async function askReflection(
  client: grpc.Client,
  questions: readonly object[],
): Promise<ReflectionAnswer[]> {
  const service = contract['grpc.reflection.v1.ServerReflection'] as grpc.ServiceDefinition;
  const method = service['ServerReflectionInfo'];
  if (!method) throw new Error('the vendored proto has no such method');
  const call = client.makeBidiStreamRequest(
    method.path,
    (question: object) => method.requestSerialize(question),
    method.responseDeserialize,
  );
  const answers: ReflectionAnswer[] = [];
  call.on('data', (answer: ReflectionAnswer) => answers.push(answer));
  for (const question of questions) call.write(question);
  call.end();
  await new Promise((resolve, reject) => call.once('end', resolve).once('error', reject));
  return answers;
}
