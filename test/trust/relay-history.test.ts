import { describe, expect, test } from '@jest/globals';

import type { Revocation } from '../../src/domain/revocation-set.ts';
import { RevocationJournal, type PositionedRevocation } from '../../src/trust/revocation-journal.ts';
import { type TrustBatch, TrustBundle } from '../../src/trust/trust-bundle.ts';
import { losses, lostIn, mixes, realParts, type RelayParts } from './relay-history.ts';

// The serial suite has 3,000 of each.
test.each(mixes)('R10 property: nobody misses a revocation in 200 histories with %s', (_name, mix) => {
  expect(losses(mix, 200)).toEqual([]);
});

describe('R10 the histories find', () => {
  const lost = (parts: RelayParts) => mixes.reduce((sum, [, mix]) => sum + losses(mix, 200, parts).length, 0);

  test('a place below the cursor of the batch', () => {
    class EarlierPlaces extends RevocationJournal {
      override add(revocations: readonly PositionedRevocation[], cursor: bigint): PositionedRevocation[] {
        return super.add(
          revocations.map((one) => ({ ...one, position: one.position - 1n })),
          cursor,
        );
      }
    }
    const bundle = (nowMs: () => number) => new TrustBundle(nowMs, new EarlierPlaces(12));
    expect(lost({ ...realParts, bundle })).toBeGreaterThan(5);
  });

  test('a place that is settled before everything from then is known, while an instance reads pages', () => {
    class Hasty extends TrustBundle {
      override applyBatch(batch: TrustBatch): void {
        super.applyBatch(batch);
        super.confirm(Number.MAX_SAFE_INTEGER);
      }
    }
    const bundle = (nowMs: () => number) => new Hasty(nowMs, new RevocationJournal(12));
    const [, mix] = mixes[0] as (typeof mixes)[number];
    // Two of the first 1,200.
    for (const seed of [442, 534]) expect(lostIn(seed, mix, { ...realParts, bundle })).not.toEqual([]);
  });

  test('a full list whose order is taken to be known', () => {
    class Confident extends TrustBundle {
      override missedSince(cursor: bigint): readonly Revocation[] | null {
        return this.addedSince(cursor);
      }
    }
    const bundle = (nowMs: () => number) => new Confident(nowMs, new RevocationJournal(12));
    expect(lost({ ...realParts, bundle })).toBeGreaterThan(0);
  });
});
