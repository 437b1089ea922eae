import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { fileURLToPath, URL } from 'node:url';
import { sampleServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { figureRow, ratioRow } from '../measured-row.mjs';
import { hashThreads, openFixtureWithUsers } from '../user-fixture.mjs';
import { spread } from '../pairs.mjs';

const script = (name) => fileURLToPath(new URL(`../load/${name}.mjs`, import.meta.url));
/** Samples are longer here, so that one percent of the calls of a sample is more than a handful. */
const TIMES_AS_LONG = 2;
const USERS = 300;
/** Fewer callers than the service admits, so that none is refused, and enough that the hashing threads always have work. */
const ADMITTED = 4 * hashThreads;
const CALLERS = [100, 200, 300];
/** In multiples of what the service can hash. */
const RATES = [1, 3, 10, 30];

/**
 * A process sends a VerifyToken every few milliseconds and measures its latency; another process makes the flood. All
 * logins would succeed, so each one that is not refused costs a hash.
 */
export async function run(plan) {
  const fixture = await openFixtureWithUsers(USERS);
  try {
    let capacity = 0;
    const serve = () => fixture.serve({ pinned: false });
    const floods = {
      baseline: null,
      contender: () => ['callers', ADMITTED],
      ...Object.fromEntries(CALLERS.map((count) => [`callers${count}`, () => ['callers', count]])),
      ...Object.fromEntries(
        RATES.map((times) => [`rate${times}`, () => ['rate', Math.round(times * capacity)]]),
      ),
    };
    const load = async ({ grpc }, seconds, side) => {
      const flood = floods[side === 'control' ? 'baseline' : side];
      const probing = () => probe(grpc, plan.quick ? seconds / 2 : seconds * TIMES_AS_LONG, fixture.token);
      if (!flood) return probing();
      const sample = await inFlood(grpc, flood(), fixture.emails, probing);
      if (side === 'contender') capacity = sample.loginsPerSecond;
      return sample;
    };
    // The first sample says what the service can hash.
    const first = await serve();
    await load(first, plan.warmUpSeconds, 'contender').finally(() => first.stop());
    const sides = Object.fromEntries(Object.keys(floods).map((side) => [side, serve]));
    const rounds = await sampleServers(sides, load, plan);
    return rowsOf(rounds, plan);
  } finally {
    await fixture.stop();
  }
}

function rowsOf(rounds, plan) {
  const all = (side, name) => spread(rounds.map((round) => round[side][name]));
  const p99Row = (id, side, more = {}) =>
    figureRow(
      rowOf('login-flood', id),
      rounds.map((round) => round[side].p99Ms),
      plan,
      {
        'p50, ms': all(side, 'p50Ms'),
        'logins per second': all(side, 'loginsPerSecond'),
        'refusals per second': all(side, 'refusalsPerSecond'),
        ...more,
      },
    );
  const loginsRow = (id, side) => {
    const kept = rounds.map((round) => round[side].loginsPerSecond / round.contender.loginsPerSecond);
    return figureRow(rowOf('login-flood', id), kept, plan);
  };
  const rates = Object.fromEntries(
    RATES.flatMap((times) => [
      [`p99 at ${times} times the capacity, ms`, all(`rate${times}`, 'p99Ms')],
      [`logins per second at ${times} times`, all(`rate${times}`, 'loginsPerSecond')],
    ]),
  );
  return [
    p99Row('login-flood-p99', 'contender'),
    ratioRow(rowOf('login-flood', 'login-flood-times-idle'), rounds, plan),
    ...CALLERS.map((count) => p99Row(`login-flood-p99-${count}`, `callers${count}`)),
    ...CALLERS.map((count) => loginsRow(`login-flood-kept-${count}`, `callers${count}`)),
    p99Row('login-flood-p99-30-times', 'rate30', rates),
  ];
}

async function probe(address, seconds, token) {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [script('prober'), address, seconds, token].map(String),
  );
  return JSON.parse(stdout);
}

async function inFlood(address, [mode, count], emails, act) {
  const child = spawn(process.execPath, [script('login-flood'), address, mode, String(count), ...emails], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  try {
    if ((await lines.next()).value !== 'flooding') throw new Error('the flood did not start');
    const sample = await act();
    child.stdin.end();
    const { logins, refused, seconds } = JSON.parse((await lines.next()).value ?? '{}');
    if (!(logins > 0)) throw new Error('the flood ended early');
    return { ...sample, loginsPerSecond: logins / seconds, refusalsPerSecond: refused / seconds };
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
}
