import { randomUUID } from 'node:crypto';
import { RefreshTokenRequest, TokenSet } from '../../dist/generated/postern/v1/auth.js';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { openSession, unaryCall } from '../load/callers.mjs';
import { h2load } from '../load/h2load.mjs';
import { postern } from '../measured-process.mjs';
import {
  email,
  issuer,
  LOGIN,
  loginMessage,
  openTokenFixture,
  REFRESH,
  startReady,
  VERIFY,
  verifyAnswer,
  verifyMessage,
} from '../token-fixture.mjs';

/**
 * Both listen on TCP and verify the same token. The sidecar's upstream is a second service, which is otherwise idle. The
 * measured service has answered logins and refreshes before, as one in use has.
 */
export async function run(plan) {
  const fixture = await openTokenFixture({ POSTERN_ISSUER: issuer, POSTERN_SESSIONS_PER_USER: '10000' });
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
      contender: async () => {
        const service = await fixture.serve();
        await use(service, plan.quick ? 9 : 99);
        return service;
      },
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

/** No more than run at the same time for one user. */
const CALLERS = 3;

/** Logs in so many times, and refreshes each session five times. */
async function use({ grpc }, logins) {
  const session = openSession(grpc);
  const tokensOf = async (path, message) => TokenSet.decode(await unaryCall(session, path, message));
  const useOne = async () => {
    let { refreshToken } = await tokensOf(LOGIN, loginMessage(email));
    for (let refreshes = 0; refreshes < 5; refreshes++)
      ({ refreshToken } = await tokensOf(REFRESH, RefreshTokenRequest.encode({ refreshToken }).finish()));
  };
  try {
    for (let done = 0; done < logins; done += CALLERS)
      await Promise.all(Array.from({ length: CALLERS }, useOne));
  } finally {
    session.close();
  }
}
