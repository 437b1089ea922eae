// What verifiers cost the service that they watch: memory, CPU time of heartbeats and of revocations, and the time until the last
// one has a revocation. Each verifier has a connection of its own.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  IssueServiceTokenRequest,
  RevokeTokenRequest,
  TokenSet,
} from '../../dist/generated/postern/v1/auth.js';
import { TrustUpdate, WatchTrustRequest } from '../../dist/generated/postern/v1/trust.js';
import { callersLoad, openSession } from '../load/callers.mjs';
import { framed } from '../load/h2load.mjs';
import { spread } from '../pairs.mjs';
import { callOnce, LOGIN, loginMessage } from '../token-fixture.mjs';
import { openFixtureWithUsers } from '../user-fixture.mjs';

const WATCH = '/postern.v1.TrustService/WatchTrust';
const REVOKE = '/postern.v1.AuthService/RevokeToken';
const ISSUE = '/postern.v1.AuthService/IssueServiceToken';
const REVOCATIONS = 20;
/** Streams that are opened at the same time. */
const AT_ONCE = 50;
const FRAME_HEAD_BYTES = 5;
const WAIT_MS = 20_000;

/** @returns the number of watchers, and their costs: of one for what lasts, of all for a revocation */
export async function measureWatchers(plan) {
  const fixture = await openFixtureWithUsers();
  const account = await fixture.addServiceAccount(`verifiers-${randomUUID()}`);
  const service = await fixture.serve({ pinned: false });
  const watchers = [];
  try {
    const request = IssueServiceTokenRequest.encode({ ...account, audience: '', clientAssertion: '' });
    const { accessToken } = TokenSet.decode(await callOnce(service.grpc, ISSUE, request.finish()));
    const refreshTokens = await logIn(service, fixture.emails, REVOCATIONS);
    const before = service.memory().nowMb;
    const idle = await cpuOf(service, () => pause(plan.seconds * 1_000));

    while (watchers.length < plan.watchers) {
      const count = Math.min(AT_ONCE, plan.watchers - watchers.length);
      const opened = Array.from({ length: count }, () => watch(service.grpc, accessToken));
      watchers.push(...opened);
      await Promise.all(opened.map(({ complete }) => complete));
    }
    const watched = await cpuOf(service, () => pause(plan.seconds * 1_000));
    const afterMb = service.memory().nowMb;

    const rounds = [];
    for (const token of refreshTokens) {
      const message = RevokeTokenRequest.encode({ token, allSessions: false }).finish();
      const sentMs = performance.now();
      const all = Promise.all(watchers.map((watcher) => watcher.nextRevocation()));
      const cpu = await cpuOf(service, async () => {
        await callOnce(service.grpc, REVOKE, message);
        await withinLimit(all);
      });
      rounds.push({ ms: performance.now() - sentMs, cpuMs: 1_000 * cpu.cpuSeconds });
    }
    return {
      watchers: plan.watchers,
      memoryKib: ((afterMb - before) * 1e6) / 1_024 / plan.watchers,
      heartbeatCpuMs:
        (1_000 * (watched.cpuSeconds / watched.seconds - idle.cpuSeconds / idle.seconds)) / plan.watchers,
      revocationCpuMs: spread(rounds.map(({ cpuMs }) => cpuMs)),
      revocationMs: spread(rounds.map(({ ms }) => ms)),
    };
  } finally {
    for (const { close } of watchers) close();
    await service.stop();
    await fixture.stop();
  }
}

async function logIn(service, emails, count) {
  const tokens = [];
  const messages = Array.from({ length: count }, (_value, index) =>
    loginMessage(emails[index % emails.length]),
  );
  await callersLoad({
    address: service.grpc,
    path: LOGIN,
    callers: 2,
    seconds: WAIT_MS / 1_000,
    next: () => messages.pop() ?? null,
    onResponse: (_caller, response) => tokens.push(TokenSet.decode(response).refreshToken),
  });
  return tokens;
}

/** Opens a stream on a connection of its own. `complete` resolves when the verifier knows all revocations. */
function watch(address, token) {
  const session = openSession(address);
  let onComplete;
  let onRevocation = () => undefined;
  let isComplete = false;
  const complete = new Promise((resolve, reject) => {
    onComplete = resolve;
    session.on('error', reject);
  });
  const stream = session.request({
    ':method': 'POST',
    ':path': WATCH,
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: `Bearer ${token}`,
  });
  let rest = Buffer.alloc(0);
  stream.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= FRAME_HEAD_BYTES) {
      const end = FRAME_HEAD_BYTES + rest.readUInt32BE(1);
      if (rest.length < end) return;
      onUpdate(TrustUpdate.decode(rest.subarray(FRAME_HEAD_BYTES, end)).update);
      rest = rest.subarray(end);
    }
  });
  stream.on('error', () => undefined);
  const onUpdate = ({ $case, value }) => {
    if ($case !== 'revocations' || !value.complete) return;
    if (isComplete && value.revocations.length > 0) onRevocation();
    isComplete = true;
    onComplete();
  };
  stream.end(framed(WatchTrustRequest.encode({ cursor: '', relayId: Buffer.alloc(0) }).finish()));
  return {
    complete: withinLimit(complete),
    nextRevocation: () => new Promise((resolve) => (onRevocation = resolve)),
    close: () => session.destroy(),
  };
}

async function cpuOf(service, act) {
  const [before, startedMs] = [service.cpuSeconds(), performance.now()];
  await act();
  return {
    cpuSeconds: service.cpuSeconds() - before,
    seconds: (performance.now() - startedMs) / 1_000,
  };
}

function withinLimit(promise) {
  const limit = pause(WAIT_MS, undefined, { ref: false }).then(() => {
    throw new Error(`a verifier did not get what it waited for within ${WAIT_MS / 1_000} s`);
  });
  return Promise.race([promise, limit]);
}
