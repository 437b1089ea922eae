import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, test } from '@jest/globals';

const bench = fileURLToPath(new URL('../soak/revocation-delay.mjs', import.meta.url));

interface Delays {
  readonly what: string;
  readonly p50Ms: number;
  readonly maxMs: number;
}

test('S12 S13 a revocation at one service reaches another at once, and within about a second after its listening connection was cut', async () => {
  const run = promisify(execFile)(process.execPath, [bench, '--revokes', '24', '--cuts', '8', '--json']);
  // Its exit code is for the goals on a quiet machine; here other tests run at the same time.
  const { stdout } = await run.catch((error: unknown) => error as { stdout: string });
  const [listening, cut] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Delays);
  expect([listening?.what, cut?.what]).toEqual(['listening', 'cut']);
  expect(listening?.p50Ms).toBeLessThan(150);
  expect(listening?.maxMs).toBeLessThan(1_000);
  expect(cut?.maxMs).toBeLessThan(1_200);
}, 30_000);
