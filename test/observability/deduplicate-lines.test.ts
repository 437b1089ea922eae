import { expect, test } from '@jest/globals';

import { deduplicateLines } from '../../src/observability/deduplicate-lines.ts';

test('a line is logged at once, then once a minute with the number of repetitions', () => {
  let nowMs = 0;
  const reported: [string, number][] = [];
  const report = deduplicateLines(
    (line, again) => reported.push([line, again]),
    () => nowMs,
  );
  for (; nowMs < 150_000; nowMs += 500) report('away');
  report('back');
  expect(reported).toEqual([
    ['away', 0],
    ['away', 119],
    ['away', 119],
    ['back', 0],
  ]);

  nowMs += 3_600_000;
  report('away');
  expect(reported.at(-1)).toEqual(['away', 0]);
});

test('with an unbounded number of different texts none is lost', () => {
  const reported = new Set<string>();
  const report = deduplicateLines(
    (line) => reported.add(line),
    () => 0,
  );
  for (let number = 0; number < 1_000; number += 1) report(`fault ${number}`);
  expect(reported.size).toBe(1_000);
});
