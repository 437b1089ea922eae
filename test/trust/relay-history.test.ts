import { describe, expect, test } from '@jest/globals';

import type { Revocation } from '../../src/domain/revocation-set.ts';
import { RelayedStream } from '../../src/trust/relayed-stream.ts';
import { RevocationJournal, type PositionedRevocation } from '../../src/trust/revocation-journal.ts';
import { TrustBundle } from '../../src/trust/trust-bundle.ts';
import { losses, mixes, realParts, type RelayParts } from './relay-history.ts';

// The serial suite has 3,000 of each.
test.each(Object.keys(mixes))('R10 property: nobody misses a revocation in 200 histories with %s', (name) => {
  expect(losses(mixes[name]!, 200)).toEqual([]);
});

describe('R10 the histories find', () => {
  const lost = (parts: RelayParts) =>
    Object.values(mixes).reduce((sum, mix) => sum + losses(mix, 200, parts).length, 0);

  test('a place below the cursor of the batch', () => {
    class EarlierPlaces extends RevocationJournal {
      override add(revocations: readonly PositionedRevocation[], cursor: bigint): PositionedRevocation[] {
        return super.add(
          revocations.map((one) => ({ ...one, position: one.position - 1n })),
          cursor,
        );
      }
    }
    const bundle = () => new TrustBundle(() => 0, new EarlierPlaces(12));
    expect(lost({ ...realParts, bundle })).toBeGreaterThan(5);
  });

  test('a chunk with the place of the batch before', () => {
    class HastyStream extends RelayedStream {
      readonly #target: TrustBundle;

      constructor(bundle: TrustBundle) {
        super(bundle);
        this.#target = bundle;
      }

      override hold(revocations: readonly Revocation[]): void {
        const { cursor } = this.#target;
        if (cursor === null) super.hold(revocations);
        else this.#target.applyBatch({ revocations, cursor, isSnapshot: false });
      }
    }
    expect(lost({ ...realParts, stream: (bundle) => new HastyStream(bundle) })).toBeGreaterThan(0);
  });

  test('a full list whose order is taken to be known', () => {
    class Confident extends TrustBundle {
      override missedSince(cursor: bigint): readonly Revocation[] | null {
        return this.addedSince(cursor);
      }
    }
    const bundle = () => new Confident(() => 0, new RevocationJournal(12));
    expect(lost({ ...realParts, bundle })).toBeGreaterThan(0);
  });
});
