import { existsSync, readFileSync } from 'node:fs';

import { describe, expect, test } from '@jest/globals';

import { allRows, rowOf, scenarios } from '../../bench/goals.mjs';
import { figureRow, type MeasuredRow, ratioRow } from '../../bench/measured-row.mjs';
import { plotsOf } from '../../bench/plots.mjs';
import { summary, tableOf, withTable } from '../../bench/summary.mjs';

const file = (path: string) => new URL(`../../${path}`, import.meta.url);
const read = (path: string) => readFileSync(file(path), 'utf8');
const facts = { date: '2026-01-31', cores: 2, node: '24.0.0', pairs: 7 };
const whole = { quick: false };

/** A row whose servers did this many calls each in one second. */
function verifySeen(contender: number, control = 100): MeasuredRow {
  const sample = (calls: number) => ({ calls, seconds: 1, cpuSeconds: 1 });
  const round = { baseline: sample(100), contender: sample(contender), control: sample(control) };
  return ratioRow(rowOf('verify-seen'), [round], whole, { also: ['throughput'] });
}

const flood = (ms: number) => figureRow(rowOf('login-flood', 'login-flood-p99'), [ms], whole);
const lineOf = (table: string, start: string) => table.split('\n').find((line) => line.startsWith(start));
const noReasons = { runs: [facts], plots: [], reasons: {} };

describe('the table', () => {
  test('has the figure with its spread, the control, the goal and the verdict', () => {
    const table = summary([verifySeen(95), flood(7.25)], noReasons);
    expect(table).toContain('2026-01-31; 2 cores, Node 24.0.0, pairs: 7.');
    expect(lineOf(table, '| `verify-seen` |')).toBe(
      '| `verify-seen` | VerifyToken, token in the cache | a bare grpc-js handler that returns the same bytes | ≥ 0.9 | ' +
        '0.95 (0.95 to 0.95) in calls per second of CPU time | 1 (1 to 1) | throughput: 0.95 (0.95 to 0.95) | met |',
    );
    expect(lineOf(table, '| `login-flood` |')).toContain('| < 25 ms | 7.25 ms (7.25 to 7.25) |  |  | met |');
    expect(table).not.toContain('Goals that were missed');
  });

  test('has the same number of cells in every line', () => {
    const failed = { ...rowOf('check'), failed: 'it ended with 1' };
    const table = summary([verifySeen(95), flood(7), failed, rowOf('refresh')], noReasons);
    const lines = table.split('\n').filter((line) => line.startsWith('|'));
    expect(lines).toHaveLength(6);
    for (const line of lines) expect(line.split('|')).toHaveLength(10);
  });

  test('has no verdict when the control is off by more than a tenth', () => {
    expect(lineOf(summary([verifySeen(50, 111)], noReasons), '| `verify-seen` |')).toMatch(
      /\| no verdict \|$/,
    );
    expect(summary([verifySeen(50, 111)], noReasons)).not.toContain('Goals that were missed');
  });

  test('gives the reason for a missed goal, or says that it is not known', () => {
    const rows = [verifySeen(50), flood(30)];
    const table = summary(rows, { ...noReasons, reasons: { 'verify-seen': 'because it is slow' } });
    expect(table).toContain('- VerifyToken, token in the cache (`verify-seen`): because it is slow');
    expect(table).toMatch(/\(`login-flood-p99`\): the reason is not known yet$/m);
  });

  test('marks a scenario that failed', () => {
    const table = summary([{ ...rowOf('check'), failed: 'it ended with 1' }], noReasons);
    expect(lineOf(table, '| `check` |')).toMatch(/\| failed: it ended with 1 \|$/);
  });

  test('has the plots above it', () => {
    const plots = [{ file: 'goals.svg', title: 'What was measured' }];
    expect(summary([verifySeen(95)], { ...noReasons, plots })).toContain(
      '\n![What was measured](../bench/results/goals.svg)\n',
    );
  });
});

describe('docs/benchmarks.md', () => {
  const page = read('docs/benchmarks.md');
  const table = tableOf(page);

  test('gets the table between its markers and is otherwise unchanged', () => {
    const changed = withTable(page, 'NEW');
    expect(tableOf(changed)).toBe('NEW');
    expect(withTable(changed, table)).toBe(page);
    expect(() => withTable('without markers', 'NEW')).toThrow('<!-- bench -->');
  });

  test.each(allRows)('has a row for $id', ({ scenario, title, baseline }) => {
    expect(table).toContain(`| \`${scenario}\` | ${title} | ${baseline} |`);
  });

  test('shows only plots that exist', () => {
    const plots = [...table.matchAll(/\]\((.*?)\)/g)];
    for (const [, path = ''] of plots) expect(existsSync(file(`docs/${path}`))).toBe(true);
  });
});

test('every scenario has a module, and names and row ids are unique', () => {
  for (const { name } of scenarios) expect(existsSync(file(`bench/scenarios/${name}.mjs`))).toBe(true);
  expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
  expect(new Set(allRows.map(({ id }) => id)).size).toBe(allRows.length);
});

test('every reason for a missed goal belongs to an existing row', () => {
  const reasons = JSON.parse(read('bench/misses.json')) as Record<string, string>;
  const ids = allRows.map(({ id }) => id);
  for (const [id, reason] of Object.entries(reasons)) {
    expect(ids).toContain(id);
    expect(reason.length).toBeGreaterThan(20);
  }
});

test('without measured rows there are no plots', () => {
  expect(plotsOf([rowOf('check'), figureRow(rowOf('verifier', 'verifier-same-text'), [1], whole)])).toEqual(
    [],
  );
});
