import { expect, test } from '@jest/globals';

import { losses, mixes } from './relay-history.ts';

test.each(mixes)(
  'R10 property: nobody misses a revocation in 3,000 histories with %s',
  (_name, mix) => {
    // The seeds, each of which is a history: `lostIn(seed, mix)` runs it again.
    expect(losses(mix, 3_000)).toEqual([]);
  },
  120_000,
);
