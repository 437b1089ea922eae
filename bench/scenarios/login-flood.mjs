import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath, URL } from 'node:url';
import { sampleServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { openSession, unaryCall } from '../load/callers.mjs';
import { figureRow, ratioRow } from '../measured-row.mjs';
import { openFixtureWithUsers } from '../user-fixture.mjs';
import { spread } from '../pairs.mjs';
import { percentile } from '../bench-service.mjs';
import { VERIFY, verifyMessage } from '../token-fixture.mjs';

const floodScript = fileURLToPath(new URL('../load/login-flood.mjs', import.meta.url));
const VERIFY_PAUSE_MS = 5;
/** Samples are longer here, so that one percent of the calls of a sample is more than a handful. */
const TIMES_AS_LONG = 2;

/** This process sends a VerifyToken every few milliseconds and measures its latency; another process makes the flood. */
export async function run(plan) {
  const fixture = await openFixtureWithUsers();
  try {
    const serve = () => fixture.serve({ pinned: false });
    const message = verifyMessage(fixture.token);
    const load = ({ grpc }, seconds, side) => {
      const probing = () => probe(grpc, message, seconds * TIMES_AS_LONG);
      return side === 'contender' ? inFlood(grpc, fixture.emails, probing) : probing();
    };
    const rounds = await sampleServers({ baseline: serve, contender: serve }, load, plan);
    const all = (name) => spread(rounds.map(({ contender }) => contender[name]));
    const values = rounds.map(({ contender }) => contender.p99Ms);
    return [
      figureRow(rowOf('login-flood', 'login-flood-p99'), values, plan, {
        'p50, ms': all('p50Ms'),
        'logins per second': all('loginsPerSecond'),
      }),
      ratioRow(rowOf('login-flood', 'login-flood-times-idle'), rounds, plan),
    ];
  } finally {
    await fixture.stop();
  }
}

async function probe(address, message, seconds) {
  const session = openSession(address);
  const times = [];
  const endMs = performance.now() + seconds * 1_000;
  while (performance.now() < endMs) {
    const sentMs = performance.now();
    await unaryCall(session, VERIFY, message);
    times.push(performance.now() - sentMs);
    await pause(VERIFY_PAUSE_MS);
  }
  session.close();
  times.sort((one, other) => one - other);
  return { probes: times.length, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) };
}

async function inFlood(address, emails, act) {
  const child = spawn(process.execPath, [floodScript, address, ...emails], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  try {
    if ((await lines.next()).value !== 'flooding') throw new Error('the flood did not start');
    const sample = await act();
    child.stdin.end();
    const loginsPerSecond = Number((await lines.next()).value);
    if (!(loginsPerSecond > 0)) throw new Error('the flood ended early');
    return { ...sample, loginsPerSecond };
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
}
