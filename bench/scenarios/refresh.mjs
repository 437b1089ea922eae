import { RefreshTokenRequest, TokenSet } from '../../dist/generated/postern/v1/auth.js';
import { compareServers, longWarmUp } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { callersLoad } from '../load/callers.mjs';
import { benchServer, startMeasured } from '../measured-process.mjs';
import { callOnce, email, LOGIN, loginMessage, openTokenFixture } from '../token-fixture.mjs';

const REFRESH = '/postern.v1.AuthService/RefreshToken';
/** The number of sessions, and so of calls in flight. */
const IN_FLIGHT = 32;
/** The same number of connections as the service has for calls. */
const POOL_SIZE = 10;

/**
 * The service reads the session, rotates it, writes the audit event, signs an access token and responds over gRPC; the
 * baseline only updates the row. Both wait for the disk at each commit. For the service, the machine also runs the client,
 * so nothing is pinned.
 */
export async function run(plan) {
  const fixture = await openTokenFixture({ POSTERN_SESSIONS_PER_USER: '10000' });
  try {
    const [own, bare] = await openSessions(fixture, 2);
    const refreshTokens = own.map(({ refreshToken }) => refreshToken);
    const ids = bare.map(({ sessionId }) => sessionId);
    const script = [benchServer('update-returning'), fixture.url, String(POOL_SIZE), ...ids];
    const start = {
      baseline: () => startMeasured(script, { pinned: false }),
      contender: () => fixture.serve({ pinned: false }),
    };
    const load = (server, seconds, side) =>
      side === 'baseline' ? updates(server, seconds) : refreshes(server, seconds, refreshTokens);
    return [await compareServers(rowOf('refresh'), start, load, longWarmUp(plan))];
  } finally {
    await fixture.stop();
  }
}

/** Opens this many lots of sessions, all of one user. */
async function openSessions(fixture, lots) {
  const service = await fixture.serve();
  const opened = [];
  while (opened.length < lots * IN_FLIGHT) {
    opened.push(TokenSet.decode(await callOnce(service.grpc, LOGIN, loginMessage(email))));
  }
  await service.stop();
  return Array.from({ length: lots }, (_, lot) => opened.slice(lot * IN_FLIGHT, (lot + 1) * IN_FLIGHT));
}

async function updates({ http }, seconds) {
  const response = await globalThis.fetch(`http://${http}/?seconds=${String(seconds)}`);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function refreshes({ grpc }, seconds, refreshTokens) {
  return callersLoad({
    address: grpc,
    path: REFRESH,
    callers: refreshTokens.length,
    seconds,
    next: (caller) => RefreshTokenRequest.encode({ refreshToken: refreshTokens[caller] }).finish(),
    onResponse(caller, response) {
      refreshTokens[caller] = TokenSet.decode(response).refreshToken;
    },
  });
}
