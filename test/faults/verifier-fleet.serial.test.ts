import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, test } from '@jest/globals';

const bench = fileURLToPath(new URL('../soak/verifier-fleet.mjs', import.meta.url));

interface Report {
  readonly verifiers: number;
  readonly revokes: number;
  readonly watchersOfEachService: number[];
  readonly slowest: { readonly p50Ms: number; readonly maxMs: number };
  readonly killed: { readonly reconnectedMs: number };
  readonly lost: number;
}

test('S13 a fleet of verifiers misses no revocation when the service that acknowledged it is killed', async () => {
  const run = promisify(execFile)(process.execPath, [
    bench,
    '--verifiers',
    '30',
    '--revokes',
    '60',
    '--json',
  ]);
  // Its exit code is for the goals on a quiet machine; here other tests run at the same time.
  const { stdout } = await run.catch((error: unknown) => error as { stdout: string });
  const report = JSON.parse(stdout) as Report;
  expect(report).toMatchObject({ verifiers: 30, revokes: 60, lost: 0 });
  // Otherwise the kill would prove nothing.
  expect(report.watchersOfEachService.every((watchers) => watchers > 0)).toBe(true);
  expect(report.slowest.p50Ms).toBeLessThan(150);
  expect(report.slowest.maxMs).toBeLessThan(1_500);
  expect(report.killed.reconnectedMs).toBeLessThan(5_000);
}, 40_000);
