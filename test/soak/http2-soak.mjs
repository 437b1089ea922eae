// Attacks the gRPC port of a built service in a process of its own, one kind after the other, while a bystander keeps
// calling. Needs `npm run build`.
//
//   node test/soak/http2-soak.mjs [--seconds 600] [--scale 10] [--only 'rapid reset']
//
// Without --seconds every kind runs once; with it they repeat until the time is up. One JSON line a kind:
// how the connection ended, how much memory the process took, and what the bystander saw. Exit code 1 when the process
// died, a connection that had to end did not, or a call of the bystander failed.
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { frameType, RawHttp2 } from '../support/raw-http2.mjs';
import { attacks } from './http2-attacks.mjs';
import { openBenchService, percentile } from '../../bench/bench-service.mjs';

const { values } = parseArgs({
  options: { seconds: { type: 'string' }, scale: { type: 'string' }, only: { type: 'string' } },
});
const scale = Number(values.scale ?? 1);
const chosen = attacks.filter(({ name }) => name.includes(values.only ?? ''));
const END_LIMIT_MS = 3_000;

const fixture = await openBenchService();
const service = await fixture.serve();
// The first calls load modules; that memory is not the effect of an attack.
for (let call = 0; call < 300; call++) await lookOn();
const untilMs = performance.now() + Number(values.seconds ?? 0) * 1000;
const firstKiB = residentKiB();
let allWell = true;
try {
  do {
    for (const attack of chosen) {
      const report = await reportOf(attack);
      allWell &&= report.well;
      process.stdout.write(`${JSON.stringify(report)}\n`);
    }
  } while (performance.now() < untilMs && allWell);
  process.stdout.write(
    `${JSON.stringify({ attack: 'all', rssGrowthKiB: residentKiB() - firstKiB, well: allWell })}\n`,
  );
} finally {
  await fixture.stop();
}
process.exitCode = allWell ? 0 : 1;

async function reportOf({ name, ends, run }) {
  const connections = [];
  const open = async (options) => {
    const connection = await RawHttp2.open(service.address, options);
    connections.push(connection);
    return connection;
  };
  const bystander = watchOn();
  const beforeKiB = residentKiB();
  const startMs = performance.now();
  const connection = await run({ open, scale });
  if (ends) await connection.next(({ type }) => type === frameType.goaway, END_LIMIT_MS);
  const ended = connection.ended || connection.goaway !== null;
  const tookMs = performance.now() - startMs;
  const duringKiB = residentKiB();
  for (const one of connections) one.destroy();
  const seen = await bystander.stop();
  const alive = service.child.exitCode === null && service.child.signalCode === null;
  return {
    attack: name,
    connections: connections.length,
    ms: Math.round(tookMs),
    end: connection.goaway !== null ? `GOAWAY ${connection.goaway}` : ended ? 'closed' : 'open',
    rssGrowthKiB: duringKiB - beforeKiB,
    bystander: seen,
    alive,
    well: alive && seen.failed === 0 && seen.calls > 0 && (!ends || ended),
  };
}

/** A well-behaved caller: one call after the other, with a pause. */
function watchOn() {
  const times = [];
  let failed = 0;
  let going = true;
  const done = (async () => {
    do {
      const startMs = performance.now();
      if (!(await lookOn())) failed += 1;
      times.push(performance.now() - startMs);
      await pause(2);
    } while (going);
  })();
  return {
    async stop() {
      while (times.length < 20) await pause(5);
      going = false;
      await done;
      times.sort((left, right) => left - right);
      return { calls: times.length, failed, p99Ms: Number(percentile(times, 0.99).toFixed(1)) };
    },
  };
}

async function lookOn() {
  const { verdict } = await service.call('VerifyToken', { access_token: 'no.token.atall' });
  return verdict === 'TOKEN_MALFORMED';
}

function residentKiB() {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${service.pid}/status`, 'utf8')) ?? [];
  return Number(kib);
}
