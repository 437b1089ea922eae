import { expect, test } from '@jest/globals';

import { LruMap } from '../../src/domain/lru-map.ts';

test('keeps the entries that were used last', () => {
  const map = new LruMap<number>(3);
  for (const [index, key] of ['a', 'b', 'c'].entries()) map.set(key, index);
  expect(map.get('a')).toBe(0);
  map.set('b', 10);
  map.set('d', 3);
  expect(['a', 'b', 'c', 'd'].map((key) => map.get(key))).toEqual([0, 10, undefined, 3]);
  expect(map.size).toBe(3);
  map.delete('a');
  expect(map.size).toBe(2);
});
