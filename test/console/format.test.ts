import { expect, test } from '@jest/globals';

import { fromNow } from '../../console/src/ui/format.ts';

const NOW = Date.parse('2026-11-28T12:00:00Z');
const DAY = 86_400;

test.each([
  [0, 'now'],
  [-0.4, 'now'],
  [-1, '1 second ago'],
  [-59, '59 seconds ago'],
  [-100, '2 minutes ago'],
  [3_600, 'in 1 hour'],
  [-23.4 * 3_600, '23 hours ago'],
  // Not "yesterday": at noon that is the evening of the day before yesterday.
  [-35 * 3_600, '1 day ago'],
  [30 * DAY - 5, 'in 30 days'],
  [59 * DAY, 'in 59 days'],
  [90 * DAY - 5, 'in 3 months'],
  [-365 * DAY, '12 months ago'],
  [-729 * DAY, '24 months ago'],
  [-731 * DAY, '2 years ago'],
])('C45 %d seconds from now are "%s"', (seconds, text) => {
  expect(fromNow(NOW + seconds * 1000, NOW)).toBe(text);
});
