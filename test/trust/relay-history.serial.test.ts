import { expect, test } from '@jest/globals';

import { losses, mixes } from './relay-history.ts';

test.each(Object.keys(mixes))(
  'R10 property: nobody misses a revocation in 3,000 histories with %s',
  (name) => {
    // The seeds, each of which is a history: `lostIn(seed, mixes[name])` runs it again.
    expect(losses(mixes[name]!, 3_000)).toEqual([]);
  },
  120_000,
);
