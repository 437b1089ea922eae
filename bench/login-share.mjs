// Logins a second through the running service beside what as many bare threads do with nothing but `hashSync`, and the
// time of VerifyToken with and without a flood of logins. Rounds take turns, so that a slow machine slows all alike.
// node bench/login-share.mjs [--rounds 7] [--seconds 3] [--workers 1] [--json]   (after `npm run build`)
// Exits with 1 below a share of 0.90, or when VerifyToken's p99 in the flood is 25 ms or over 3 times the idle one.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { URL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { openHouse, password, percentile } from './service-house.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '3' },
    workers: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});
const goals = { share: 0.9, p99Ms: 25, timesIdle: 3 };
const workers = Number(values.workers);
const roundMs = Number(values.seconds) * 1000;
/** People who log in, one after the other each: more than the hashing threads, so that these always have work. */
const PEOPLE = 4 * workers;
const VERIFY_PAUSE_MS = 5;

const bareCode = `
  import { parentPort } from 'node:worker_threads';
  import { hashSync } from ${JSON.stringify(import.meta.resolve('@node-rs/argon2'))};
  const options = { memoryCost: 19456, timeCost: 2, parallelism: 1, outputLen: 32 };
  parentPort.on('message', (endMs) => {
    let done = 0;
    while (Date.now() < endMs) { hashSync('correct horse battery', options); done++; }
    parentPort.postMessage(done);
  });
`;
const bare = Array.from(
  { length: workers },
  () => new Worker(new URL(`data:text/javascript,${encodeURIComponent(bareCode)}`)),
);
const house = await openHouse();
const emails = Array.from({ length: PEOPLE }, () => `${randomUUID()}@example.com`);
for (const email of emails) await house.addUser(email);
const service = await house.serve({ POSTERN_HASH_CONCURRENCY: String(workers) });

async function login(email) {
  const { response, verdict } = await service.call('Login', { email, password });
  if (!response) throw new Error(`login: ${verdict}`);
  return response;
}

async function bareRound() {
  const startMs = performance.now();
  const counts = await Promise.all(
    bare.map((thread) => {
      const done = new Promise((resolve) => thread.once('message', resolve));
      thread.postMessage(Date.now() + roundMs);
      return done;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - startMs) / 1000);
}

async function loginRound() {
  const startMs = performance.now();
  let done = 0;
  const people = emails.map(async (email) => {
    while (performance.now() < startMs + roundMs) {
      await login(email);
      done += 1;
    }
  });
  await Promise.all(people);
  return done / ((performance.now() - startMs) / 1000);
}

/** How long each VerifyToken takes, one every few milliseconds; sorted, ms. */
async function verifyRound(token) {
  const times = [];
  const endMs = performance.now() + roundMs;
  while (performance.now() < endMs) {
    const fromMs = performance.now();
    const { verdict } = await service.call('VerifyToken', { access_token: token });
    times.push(performance.now() - fromMs);
    if (verdict !== 'OK') throw new Error(`verify: ${verdict}`);
    await pause(VERIFY_PAUSE_MS);
  }
  return times;
}

const median = (numbers) =>
  percentile(
    numbers.toSorted((a, b) => a - b),
    0.5,
  );
const { access_token: token } = await login(emails[0]);
await bareRound();
await loginRound();
const rounds = [];
const idle = [];
const flooded = [];
for (let round = 0; round < Number(values.rounds); round += 1) {
  const barePerSecond = await bareRound();
  const loginsPerSecond = await loginRound();
  idle.push(...(await verifyRound(token)));
  const [times] = await Promise.all([verifyRound(token), loginRound()]);
  flooded.push(...times);
  rounds.push({ barePerSecond, loginsPerSecond, share: loginsPerSecond / barePerSecond });
}
const sorted = (times) => times.toSorted((a, b) => a - b);
const shares = sorted(rounds.map(({ share }) => share));
const at = (times, share) => Number(percentile(sorted(times), share).toFixed(2));
const report = {
  workers,
  rounds: rounds.length,
  barePerSecond: Number(median(rounds.map(({ barePerSecond }) => barePerSecond)).toFixed(1)),
  loginsPerSecond: Number(median(rounds.map(({ loginsPerSecond }) => loginsPerSecond)).toFixed(1)),
  share: Number(median(shares).toFixed(3)),
  shareFrom: Number(shares[0].toFixed(3)),
  shareTo: Number(shares.at(-1).toFixed(3)),
  verifyIdleMs: { p50: at(idle, 0.5), p99: at(idle, 0.99) },
  verifyFloodedMs: { p50: at(flooded, 0.5), p99: at(flooded, 0.99) },
};
console.log(values.json ? JSON.stringify(report) : report);
const isGood =
  report.share >= goals.share &&
  report.verifyFloodedMs.p99 < goals.p99Ms &&
  report.verifyFloodedMs.p99 <= goals.timesIdle * report.verifyIdleMs.p99;
process.exitCode = isGood ? 0 : 1;
await Promise.all(bare.map((thread) => thread.terminate()));
await house.stop();
