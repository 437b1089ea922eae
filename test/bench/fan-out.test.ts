import { readFileSync } from 'node:fs';

import { describe, expect, test } from '@jest/globals';

import { seededRandom } from '../../bench/fan-out/random.mjs';
import * as model from '../../bench/fan-out/simulate.mjs';
import { fanOutTables } from '../../bench/fan-out/tables.mjs';
import { makeTree, type Tree } from '../../bench/fan-out/tree.mjs';
import { Backoff } from '../../src/domain/concurrency/backoff.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
/** Round numbers, so that delays can be computed by hand. */
const constants = {
  makeMs: 0.01,
  flushMs: 0.02,
  flushMsPerByte: 0,
  connectMs: 1,
  receiveMs: 0.1,
  receiverMs: 0,
  applyMs: 0,
  bytesPerUpdate: 77,
  bytesPerRevocation: 26,
  heartbeatBytes: 52,
};
type Options = Parameters<typeof model.simulate>[1];

function run(widths: readonly number[], options: Partial<Options> | ((tree: Tree) => Partial<Options>)) {
  const random = seededRandom(1);
  const tree = makeTree(widths, random);
  const given = typeof options === 'function' ? options(tree) : options;
  return {
    tree,
    ...model.simulate(tree, { constants, random, commitsMs: [5_000], untilMs: 90_000, ...given }),
  };
}

describe('the simulation repeats what the code does', () => {
  test.each([
    ['PAUSE_MS_PER_SUBSCRIBER', 'src/services/trust/trust-broadcaster.ts'],
    ['HEARTBEAT_EVERY_MS', 'src/services/trust/trust-broadcaster.ts'],
    ['SILENCE_LIMIT_MS', 'src/trust/watch-trust-call.ts'],
    ['NOTIFY_INTERVAL_MS', 'src/database/change-listener.ts'],
    ['CHUNK_BYTES', 'src/services/trust/trust-updates.ts'],
  ])('%s of %s', (name, path) => {
    const text = new RegExp(`const ${name} = ([\\d_.]+)(?: \\* ([\\d_]+))?;`).exec(read(path));
    const [, value = '', factor = '1'] = text ?? [];
    const inModel = name === 'NOTIFY_INTERVAL_MS' ? 'NOTIFY_EVERY_MS' : name;
    expect(Number(value.replaceAll('_', '')) * Number(factor.replaceAll('_', ''))).toBe(
      model[inModel as 'CHUNK_BYTES'],
    );
  });

  test('the delays before a stream is opened again', () => {
    const source = read('src/trust/stream-trust-source.ts');
    expect(source).toContain('const MAX_RETRY_MS = 2_000;');
    expect(source).toMatch(/firstMs: 50,\s+maxMs: MAX_RETRY_MS,\s+startsAtOnce: true,\s+jitter: 0\.5,/);
    const random = () => 0.3;
    const backoff = new Backoff({ firstMs: 50, maxMs: 2_000, startsAtOnce: true, jitter: 0.5, random });
    for (let attempt = 0; attempt < 9; attempt++)
      expect(model.retryDelayMs(attempt, random)).toBeCloseTo(backoff.next());
  });
});

describe('the simulation', () => {
  test('sends a round in the measured time, one subscriber after the other', () => {
    const { delays } = run([100], { feed: false, isOneMachine: true });
    // All 100 are made (1 ms) before the first leaves, and the last leaves 2 ms after that.
    expect(delays.count).toBe(100);
    expect(delays.quantile(0.01)).toBeGreaterThan(1.01);
    expect(delays.quantile(0.01)).toBeLessThan(1.05);
    expect(delays.max).toBeCloseTo(3);
  });

  test('pauses between rounds as long as the broadcaster', () => {
    const { delays } = run([100], { feed: false, isOneMachine: true, commitsMs: [5_000, 5_001] });
    // The second change waits until 10 ms after the first round, then 3 ms.
    expect(delays.max).toBeCloseTo(12);
  });

  test('adds the time of each relay on the way', () => {
    const direct = run([10], { feed: false });
    const far = run([1, 1, 10], { feed: false });
    const more = far.delays.quantile(0.5) - direct.delays.quantile(0.5);
    expect(more).toBeGreaterThan(2 * 0.3);
    expect(more).toBeLessThan(2 * (0.8 + 0.1 + 0.1));
  });

  test('brings every verifier up to date after relays die, and knows the age of what a verifier knows', () => {
    const commitsMs = Array.from({ length: 200 }, (_, index) => 5_000 + index * 400);
    const outcome = (reconnectTo: 'same' | 'siblings', silent: boolean) =>
      run([3, 2, 20], (tree) => ({
        commitsMs,
        reconnectTo,
        limitsMs: [5_000, 300_000],
        untilMs: 120_000,
        failures: [
          { node: tree.nodes[1], atMs: 20_000, forMs: 30_000, silent },
          { node: tree.last[5], atMs: 25_000, forMs: 10_000, silent },
        ],
      }));
    const waiting = outcome('same', false);
    expect(waiting.missing).toBe(0);
    expect(waiting.delays.max).toBeGreaterThan(28_000);
    expect(waiting.delays.max).toBeLessThan(32_500);
    expect(waiting.inTime[0]).toBeLessThan(0.97);
    expect(waiting.inTime[1]).toBe(1);
    const moving = outcome('siblings', false);
    expect(moving.missing).toBe(0);
    expect(moving.delays.max).toBeLessThan(1_000);
    const silent = outcome('siblings', true);
    expect(silent.missing).toBe(0);
    expect(silent.delays.max).toBeGreaterThan(8_000);
    expect(silent.delays.max).toBeLessThan(12_500);
  });

  test('a process that dies sends nothing of its round any more', () => {
    // The round would last from 5,010 to 5,030 ms.
    const { delays, missing } = run([1_000], (tree) => ({
      feed: false,
      failures: [{ node: tree.nodes[0], atMs: 5_020, forMs: 3_000, silent: false }],
    }));
    expect(missing).toBe(0);
    expect(delays.quantile(0.4)).toBeLessThan(20);
    expect(delays.quantile(0.6)).toBeGreaterThan(3_000);
  });

  test('counts the time without an upstream once, and up to the end', () => {
    const lost = (node: 0 | 1) =>
      run([1, 5], (tree) => ({
        untilMs: 40_000,
        limitsMs: [10_000],
        failures: [{ node: tree.nodes[node], atMs: 10_000, forMs: 1e9, silent: false }],
      }));
    // With a relay that still sends heartbeats and without one: a verifier is late from 20 s on, and less than a poll and two heartbeats sooner.
    for (const { inTime, maxAgeMs } of [lost(0), lost(1)]) {
      expect(inTime[0]).toBeLessThan(0.5);
      expect(inTime[0]).toBeGreaterThan(0.37);
      expect(maxAgeMs).toBeGreaterThan(30_000);
      expect(maxAgeMs).toBeLessThan(35_000);
    }
  });

  test('is the same for the same seed', () => {
    const delays = (seed: number) => {
      const random = seededRandom(seed);
      const tree = makeTree([5, 50], random);
      return model.simulate(tree, { constants, random, commitsMs: [5_000, 5_100], untilMs: 9_000 }).delays
        .max;
    };
    expect(delays(7)).toBe(delays(7));
    expect(delays(7)).not.toBe(delays(8));
  });
});

test('R51 the tables of docs/scaling.md are what the simulation computes from the measured constants', () => {
  const page = read('docs/scaling.md');
  const json = (path: string): unknown => JSON.parse(read(path));
  const tables = fanOutTables({
    constants: json('bench/fan-out/constants.json'),
    validation: json('bench/fan-out/validation.json'),
    seed: 1,
    // The others take minutes.
    trees: [{ widths: [100] }],
    rates: [1, 100, 1_000],
    herd: null,
  });
  for (const line of tables.split('\n').filter((one) => one !== '')) expect(page).toContain(`${line}\n`);
});
