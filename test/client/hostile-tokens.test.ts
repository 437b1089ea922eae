import * as grpc from '@grpc/grpc-js';
import { expect, test } from '@jest/globals';

import { createVerifier, PosternError, type Verifier } from '../../src/client/postern-client.ts';
import { goodTokens } from '../security/good-tokens.ts';
import { hostileTokens } from '../security/hostile-tokens.ts';
import { inBatches } from '../security/in-batches.ts';
import { serviceUnderAttack } from '../security/running-service.ts';
import { until } from '../support/condition.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { openServiceDesk } from '../support/service-desk.ts';
import { invoke, type Outcome } from '../support/test-service.ts';

const verify = 'postern.v1.AuthService/VerifyToken';
/** Beyond it, gRPC itself refuses a message before anybody reads it. */
const maxMessageBytes = 64 * 1024 - 4;

async function inProcess(verifier: Verifier, token: string): Promise<string> {
  try {
    await verifier.verify(token);
    return '';
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return error.reason ?? grpc.status[error.code];
  }
}

const reasonIn = ({ code, reason }: Outcome) =>
  code === grpc.status.OK ? '' : (reason ?? grpc.status[code]);

test('E04 T01-T20 a verifier in process and a sidecar say of every token what VerifyToken says', async () => {
  const { service, setting } = await serviceUnderAttack('ES256');
  const { id, secret } = await (await openServiceDesk(service.database)).createService('beside');
  const credential = { clientId: id, clientSecret: secret };
  const verifier = createVerifier({ trust: { upstream: { address: service.grpcAddress }, credential } });
  const sidecar = startPostern(['sidecar', '--upstream', service.grpcAddress], {
    environment: {
      POSTERN_CLIENT_ID: id,
      POSTERN_CLIENT_SECRET: secret,
      POSTERN_GRPC_LISTEN: '127.0.0.1:0',
      POSTERN_HTTP_LISTEN: '127.0.0.1:0',
    },
  });
  const { grpc: address, http } = await sidecar.listening;
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  await until(async () => (await fetch(`http://${http}/readyz`)).status === 200, 'the sidecar is ready');
  expect(await verifier.ready(5_000)).toBe(true);

  const differing: string[] = [];
  const compare = async (name: string, token: string) => {
    const [central, beside, within] = await Promise.all([
      service.call(verify, { access_token: token }).then(reasonIn),
      invoke(client, verify, { access_token: token }).then(reasonIn),
      inProcess(verifier, token),
    ]);
    // Without a token in the message, the services ask the metadata for one.
    const isJudged = token !== '' && Buffer.byteLength(token) <= maxMessageBytes;
    if (beside !== central || (isJudged && within !== central))
      differing.push(`${name}: VerifyToken ${central}, sidecar ${beside}, in process ${within}`);
    return [central, within];
  };
  const hostile = await inBatches(hostileTokens(setting), async ({ name, token }) => {
    if ((await compare(name, token)).includes('')) differing.push(`${name} was accepted`);
  });
  expect(hostile.length).toBeGreaterThan(640);
  for (const { name, token } of goodTokens(setting)) {
    expect([name, ...(await compare(name, token))]).toEqual([name, '', '']);
    await compare(`${name}, again`, token);
  }
  expect(differing).toEqual([]);
  verifier.close();
  client.close();
  await endEveryPostern();
  await service.stop();
}, 60_000);
