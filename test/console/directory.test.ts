import { describe, expect, test } from '@jest/globals';

import { Directory } from '../../console/src/ui/directory.ts';

const idOf = (index: number) => `00000000-0000-7000-8000-${index.toString(16).padStart(12, '0')}`;

/** A list of the service with ids of even numbers, and the sizes of the pages that were read of it. */
function directoryOf(count: number) {
  const all = Array.from({ length: count }, (_, index) => ({
    id: idOf(2 * index),
    name: `program-${index}`,
  }));
  const reads: number[] = [];
  const directory = new Directory<(typeof all)[number]>(
    (pageSize, pageToken) => {
      reads.push(pageSize);
      const from = pageToken === '' ? 0 : all.findIndex(({ id }) => id > pageToken);
      const items = all.slice(from, from + (pageSize || 50));
      const last = items.at(-1);
      return Promise.resolve({ items, nextPageToken: last && last !== all.at(-1) ? last.id : '' });
    },
    ({ id }) => id,
  );
  return { all, reads, directory };
}

describe('C38 finding by id in a list without a filter', () => {
  test('reads pages of 1000 up to the id, and no page for what a list has shown', async () => {
    const { reads, directory } = directoryOf(10_000);
    expect((await directory.find([idOf(19_998)])).get(idOf(19_998))?.name).toBe('program-9999');
    expect(reads).toHaveLength(10);
    reads.length = 0;
    expect([...(await directory.find([idOf(19_996)])).keys()]).toEqual([idOf(19_996)]);
    expect(reads).toEqual([1_000]);
  });

  test('an id that does not exist ends where it would be, and text that is no id asks nothing', async () => {
    const { reads, directory } = directoryOf(10_000);
    expect((await directory.find([idOf(2_001)])).size).toBe(0);
    expect(reads).toHaveLength(2);
    reads.length = 0;
    expect((await directory.find(['billing', '', "x'); --"])).size).toBe(0);
    expect(reads).toEqual([]);
  });

  test('several ids are found in one pass, and the pages without any are skipped once they are known', async () => {
    const { reads, directory } = directoryOf(10_000);
    const ids = [idOf(0), idOf(4), idOf(19_998)];
    expect([...(await directory.find(ids)).keys()].sort()).toEqual(ids);
    expect(reads).toHaveLength(10);
    reads.length = 0;
    expect((await directory.find(ids)).size).toBe(3);
    expect(reads).toHaveLength(2);
  });

  test('a search ends after ten pages and goes on from there', async () => {
    const { reads, directory } = directoryOf(15_000);
    const isWanted = ({ name }: { name: string }) => name === 'program-14999';
    const first = await directory.search(isWanted, '');
    expect([first.items, reads.length]).toEqual([[], 10]);
    const second = await directory.search(isWanted, first.nextPageToken);
    expect(second.items.map(({ name }) => name)).toEqual(['program-14999']);
    expect(second.nextPageToken).toBe('');
  });
});
