import { percentile } from '../../bench/bench-service.mjs';

const GOAL_P99_MS = 100;

function distribution(delays) {
  const sorted = delays.toSorted((one, other) => one - other);
  const [p50Ms, p99Ms, maxMs] = [percentile(sorted, 0.5), percentile(sorted, 0.99), sorted.at(-1)].map(
    (value) => Math.round(value * 10) / 10,
  );
  return { p50Ms, p99Ms, maxMs };
}

/**
 * Prints how long each group of verifiers went on accepting.
 *
 * @returns whether none was missed, and the slowest verifier of each round meets the goal
 */
export function report(what, rounds, json) {
  const groups = new Set(rounds.flatMap(({ delays }) => delays.map(({ group }) => group)));
  const slowest = rounds.map(({ delays }) => Math.max(...delays.map(({ delayMs }) => delayMs)));
  const rows = [
    { verifier: 'slowest', ...distribution(slowest) },
    ...[...groups].map((verifier) => ({
      verifier,
      ...distribution(
        rounds.flatMap(({ delays }) =>
          delays.filter(({ group }) => group === verifier).map(({ delayMs }) => delayMs),
        ),
      ),
    })),
  ];
  const issuedMeanwhile = rounds.reduce((sum, { issued }) => sum + issued, 0);
  const missed = slowest.filter((delayMs) => delayMs === Infinity).length;
  if (json)
    console.log(JSON.stringify({ what, rounds: rounds.length, issuedMeanwhile, missed, verifiers: rows }));
  else {
    console.log(`${what}: ${rounds.length} rounds, ${issuedMeanwhile} issued meanwhile, ${missed} missed`);
    for (const { verifier, p50Ms, p99Ms, maxMs } of rows)
      console.log(`  ${verifier.padEnd(22)} p50 ${p50Ms} ms, p99 ${p99Ms} ms, max ${maxMs} ms`);
  }
  return missed === 0 && rows[0].p99Ms <= GOAL_P99_MS;
}
