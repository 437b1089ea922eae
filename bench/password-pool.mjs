/**
 * Logins a second through the hashing pool beside what the same number of bare threads does with nothing but
 * `hashSync` in a loop, in alternating rounds of one run, so that a machine that slows down slows both.
 *
 *   npm run build && node bench/password-pool.mjs [threads] [rounds]
 */
import console from 'node:console';
import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { PasswordHasher } from '../dist/passwords/password-hasher.js';
import { bareHashing } from './bare-hashing.mjs';

const threads = Number(process.argv[2] ?? Math.max(1, availableParallelism() - 1));
const rounds = Number(process.argv[3] ?? 10);
const roundMs = 1000;

const bare = bareHashing(threads);
const hasher = await PasswordHasher.start({ concurrency: threads });
const { signal } = new globalThis.AbortController();
setMaxListeners(0, signal);
const caller = () => ({ signal, deadlineMs: Date.now() + 60_000 });
const stored = await hasher.hash('correct horse battery staple', caller());

/** Hashes a second of the bare threads. */
async function bareRound() {
  const { calls, seconds } = await bare.hash(roundMs / 1000);
  return calls / seconds;
}

/** Checks a second through the pool, with four callers for each thread, one check after the other. */
async function poolRound() {
  const startedMs = performance.now();
  const endMs = Date.now() + roundMs;
  let done = 0;
  const callers = Array.from({ length: 4 * threads }, async () => {
    while (Date.now() < endMs) {
      const { matches } = await hasher.verify(stored, 'correct horse battery staple', caller());
      if (!matches) throw new Error('the right password was refused');
      done++;
    }
  });
  await Promise.all(callers);
  return (done * 1000) / (performance.now() - startedMs);
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
await bareRound();
await poolRound();
const results = [];
for (let round = 0; round < rounds; round++) {
  const [barePerSecond, poolPerSecond] = [await bareRound(), await poolRound()];
  results.push({ barePerSecond, poolPerSecond, ratio: poolPerSecond / barePerSecond });
}
console.log(
  JSON.stringify({
    threads,
    rounds,
    barePerSecond: Math.round(median(results.map((result) => result.barePerSecond))),
    poolPerSecond: Math.round(median(results.map((result) => result.poolPerSecond))),
    ratio: Number(median(results.map((result) => result.ratio)).toFixed(3)),
    rssMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
  }),
);
await hasher.stop();
await bare.stop();
