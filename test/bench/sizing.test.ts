import { existsSync, readFileSync } from 'node:fs';

import { describe, expect, test } from '@jest/globals';

import { demandOf, type Sizing, sizingOf, sizingTables, withSizing } from '../../bench/sizing/table.mjs';

const file = (path: string) => new URL(`../../${path}`, import.meta.url);
const read = (path: string) => readFileSync(file(path), 'utf8');
const page = read('docs/scaling.md');
const always = (value: number) => ({ median: value, low: value, high: value });
const cost = (cpuMs: number, postgresMs: number) => ({
  cpuMs: always(cpuMs),
  postgresMs: always(postgresMs),
  walBytes: always(1_000),
  memoryMb: 100,
});
const ways = [
  'service',
  'service, new token',
  'sidecar',
  'sidecar, new token',
  'in process',
  'in process, new token',
];
const sizing: Sizing = {
  date: '2026-01-31',
  cores: 2,
  cpu: 'one of them',
  node: '24.0.0',
  loadBefore: 0.5,
  idle: cost(2, 1),
  login: { ...cost(10, 1), sessionBytes: 250, auditBytes: 500 },
  refresh: { ...cost(0.2, 0.1), auditBytes: 500 },
  connections: 4,
  verifiers: {
    ways: Object.fromEntries(ways.map((way) => [way, always(0.03)])),
    sidecarIdleMb: 60,
    sidecarMb: 90,
    serviceMb: 150,
  },
  watchers: {
    watchers: 1_000,
    memoryKib: 60,
    heartbeatCpuMs: 0.02,
    revocationCpuMs: always(50),
    revocationMs: always(60),
  },
};

describe('the sizing tables', () => {
  test('give the cost of a thousand calls', () => {
    const line = (start: string) =>
      sizingTables(sizing)
        .split('\n')
        .find((one) => one.startsWith(start));
    expect(line('| 1,000 logins')).toBe('| 1,000 logins | 10 s | 1 s | 0.75 MB | 1 MB |');
    expect(line('| 1,000 refreshes')).toBe('| 1,000 refreshes | 0.2 s | 0.1 s | 0.5 MB | 1 MB |');
    expect(line('| heartbeats')).toContain('| 0.02 s |');
    expect(line('| one revocation, sent to 1,000 verifiers')).toContain('| 0.05 s |');
  });

  test('have the same number of cells in each line of a table', () => {
    const tables = sizingTables(sizing).split('\n\n').slice(1);
    expect(tables).toHaveLength(3);
    for (const table of tables)
      expect(new Set(table.split('\n').map((line) => line.split('|').length)).size).toBe(1);
  });

  test('say what a number of users needs in the busiest hour', () => {
    // One login a day each, four times the mean: 40 logins a second, of 10 ms each.
    const { peak, cores, diskBytes } = demandOf(sizing, 864_000);
    expect(peak).toEqual({ logins: 40, refreshes: 480, verifications: 8_000 });
    expect(cores.logins).toBeCloseTo(0.4);
    expect(cores.refreshes).toBeCloseTo(0.096);
    expect(cores.verifications).toBeCloseTo(0.24);
    expect(cores.postgres).toBeCloseTo(0.04 + 0.048);
    expect(diskBytes.auditOfRefreshesADay).toBe(864_000 * 12 * 500);
    expect(diskBytes.auditADay).toBe(864_000 * 13 * 500);
    expect(diskBytes.sessions).toBe(30 * 864_000 * 250);
  });

  test('replace what is between the markers of a page, and refuse a page without them', () => {
    const changed = withSizing(page, 'NEW');
    expect(sizingOf(changed)).toBe('NEW');
    expect(changed.replace('NEW', '')).toHaveLength(withSizing(page, '').length);
    expect(() => withSizing('# Scaling', 'NEW')).toThrow('no <!-- sizing -->');
  });

  test('stand on the page as they were measured last', () => {
    expect(existsSync(file('bench/results/sizing.json'))).toBe(true);
    const results = JSON.parse(read('bench/results/sizing.json')) as Sizing;
    expect(sizingOf(page)).toBe(sizingTables(results));
  });
});
