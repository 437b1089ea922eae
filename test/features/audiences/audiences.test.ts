import { expect, test } from '@jest/globals';

import { Audiences } from '../../../src/features/audiences/audiences.ts';
import type { Database } from '../../../src/database/database.ts';

/** Reads of the table that end when the test says so. */
function heldReads() {
  const reads: { end: (...names: string[]) => void; fail: () => void }[] = [];
  const database = {
    run: () =>
      new Promise((resolve, reject) => {
        reads.push({
          end: (...names) => resolve(names.map((name) => ({ name, createdAt: new Date(0) }))),
          fail: () => reject(new Error('unreachable')),
        });
      }),
  } as unknown as Database;
  let changes = 0;
  const audiences = new Audiences({
    configured: ['postern', 'shop'],
    database,
    onChange: () => (changes += 1),
  });
  return { audiences, reads, changes: () => changes };
}

test('an older read that ends later does not bring a deleted audience back', async () => {
  const { audiences, reads, changes } = heldReads();
  const [older, newer] = [audiences.refresh(), audiences.refresh()];
  reads[1]?.end();
  await newer;
  reads[0]?.end('deleted');
  await older;
  expect(audiences.all).toEqual(['postern', 'shop']);
  expect(changes()).toBe(0);
});

test('while the table cannot be read, the last audiences stay; the same ones are the same array', async () => {
  const { audiences, reads, changes } = heldReads();
  const first = audiences.refresh();
  reads[0]?.end('a', 'shop');
  await first;
  const all = audiences.all;
  expect([all, changes()]).toEqual([['postern', 'shop', 'a'], 1]);
  const failing = audiences.refresh();
  reads[1]?.fail();
  await expect(failing).rejects.toThrow('unreachable');
  const same = audiences.refresh();
  reads[2]?.end('a');
  await same;
  expect(audiences.all).toBe(all);
  expect(changes()).toBe(1);
});
