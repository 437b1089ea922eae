import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { expect, test } from '@jest/globals';

const module = fileURLToPath(new URL('../../dist/cli/heap-limits.js', import.meta.url));

/** How far the heap of a new process grows, in MiB, while many short-lived objects are allocated, and its stderr. */
async function heapAfterGarbage(before: string): Promise<{ young: number; total: number; stderr: string }> {
  const script = `
    ${before}
    const { getHeapSpaceStatistics, getHeapStatistics } = await import('node:v8');
    const live = [];
    for (let i = 0; i < 3_000_000; i++) live[i % 50_000] = { i, text: String(i) };
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size;
    console.log(JSON.stringify({ young, total: getHeapStatistics().total_heap_size }));`;
  const words = ['--input-type=module', '--eval', script];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, words);
  const { young, total } = JSON.parse(stdout) as { young: number; total: number };
  return { young: young / 2 ** 20, total: total / 2 ** 20, stderr };
}

test('the flags keep the heap small, and V8 accepts them', async () => {
  const alone = await heapAfterGarbage('');
  const small = await heapAfterGarbage(`(await import(${JSON.stringify(module)})).keepHeapSmall();`);
  expect(small.stderr).toBe('');
  expect(small.young).toBeLessThanOrEqual(4);
  expect(small.young).toBeLessThan(alone.young / 2);
  expect(small.total).toBeLessThan(alone.total * 0.75);
});
