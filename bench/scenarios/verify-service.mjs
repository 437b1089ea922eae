import { randomUUID } from 'node:crypto';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { h2load } from '../load/h2load.mjs';
import { postern } from '../measured-process.mjs';
import {
  issuer,
  openTokenFixture,
  startReady,
  VERIFY,
  verifyAnswer,
  verifyMessage,
} from '../token-fixture.mjs';

/** Both listen on TCP and verify the same token. The sidecar's upstream is a second service, which is otherwise idle. */
export async function run(plan) {
  const fixture = await openTokenFixture({ POSTERN_ISSUER: issuer });
  const account = await fixture.addServiceAccount(`sidecar-${randomUUID()}`);
  const upstream = await fixture.serve({ pinned: false });
  try {
    const answer = await verifyAnswer(upstream.grpc, fixture.token);
    const environment = {
      POSTERN_GRPC_LISTEN: '127.0.0.1:0',
      POSTERN_HTTP_LISTEN: '127.0.0.1:0',
      POSTERN_CLIENT_ID: account.clientId,
      POSTERN_CLIENT_SECRET: account.clientSecret,
    };
    const start = {
      baseline: () => startReady([postern, 'sidecar', '--upstream', upstream.grpc], { environment }),
      contender: () => fixture.serve(),
    };
    const message = verifyMessage(fixture.token);
    const load = ({ grpc }, seconds) =>
      h2load({ address: grpc, path: VERIFY, message, seconds, answerBytes: answer.length });
    return [await compareServers(rowOf('verify-service'), start, load, plan)];
  } finally {
    await upstream.stop();
    await fixture.stop();
  }
}
