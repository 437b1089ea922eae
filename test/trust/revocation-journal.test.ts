import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { type PositionedRevocation, RevocationJournal } from '../../src/trust/revocation-journal.ts';

const at = (position: number, id = `id ${position}`): PositionedRevocation => ({
  kind: 'sid',
  id,
  expiresAtSeconds: 1_000,
  position: BigInt(position),
});
const ids = (revocations: readonly { id: string }[] | null) => revocations?.map(({ id }) => id) ?? null;

describe('a journal', () => {
  test('answers no cursor before its start, and every cursor from its start on', () => {
    const journal = new RevocationJournal();
    expect(journal.since(0n)).toBeNull();
    journal.restart(10n);
    expect(journal.since(9n)).toBeNull();
    expect(journal.since(10n)).toEqual([]);
  });

  test('returns revocations at or after a cursor in order, even those added late', () => {
    const journal = new RevocationJournal();
    journal.restart(10n);
    journal.add([at(11), at(14)], 10n);
    journal.add([at(12), at(13)], 10n);
    expect(ids(journal.since(12n))).toEqual(['id 12', 'id 13', 'id 14']);
    expect(ids(journal.since(15n))).toEqual([]);
  });

  test('recognises a known revocation, unless it was written again at another position', () => {
    const journal = new RevocationJournal();
    journal.restart(10n);
    journal.add([at(11, 'a')], 10n);
    expect(journal.add([at(11, 'a')], 10n)).toEqual([]);
    expect(ids(journal.add([at(12, 'a')], 10n))).toEqual(['a']);
    expect(ids(journal.since(12n))).toEqual(['a']);
  });

  test('passes on a revocation before its start without keeping it', () => {
    const journal = new RevocationJournal();
    journal.restart(10n);
    expect(ids(journal.add([at(5)], 10n))).toEqual(['id 5']);
    expect(journal.since(10n)).toEqual([]);
  });

  test('drops the older half in whole transactions', () => {
    const journal = new RevocationJournal(4);
    journal.restart(1n);
    journal.add([at(1, 'a'), at(2, 'b'), at(2, 'c'), at(2, 'd'), at(3, 'e')], 4n);
    expect(journal.since(1n)).toBeNull();
    expect(ids(journal.since(2n))).toEqual(['b', 'c', 'd', 'e']);
  });

  test('drops a single transaction that is larger than the limit', () => {
    const journal = new RevocationJournal(4);
    journal.restart(1n);
    journal.add(
      Array.from({ length: 9 }, (_, index) => at(2, `of one ${index}`)),
      5n,
    );
    expect(journal.since(2n)).toBeNull();
    expect(journal.since(3n)).toEqual([]);
  });

  test('keeps revocations at or after the cursor of its source, which would otherwise seem new at each read', () => {
    const journal = new RevocationJournal(4);
    journal.restart(1n);
    const all = Array.from({ length: 40 }, (_, index) => at(index + 1));
    journal.add(all, 3n);
    expect(journal.add(all.slice(2), 3n)).toEqual([]);
    expect(journal.since(2n)).toBeNull();
    expect(journal.since(3n)).toHaveLength(38);
  });
});

test('S13 property: resuming from a kept cursor misses nothing, in any order and with any repetitions', () => {
  const step = fc.record({
    /** How far above the cursor positions may lie, and how far the cursor moves afterwards. */
    offsets: fc.array(fc.nat({ max: 12 }), { maxLength: 12 }),
    advance: fc.nat({ max: 8 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 30 }), (steps, maxKept) => {
      const journal = new RevocationJournal(maxKept);
      const all = new Map<string, PositionedRevocation>();
      let cursor = 100n;
      journal.restart(cursor);
      for (const { offsets, advance } of steps) {
        const announced = offsets.map((offset, index) => at(Number(cursor) + offset, `${offset} ${index}`));
        const isNew = ({ id, position }: PositionedRevocation) => all.get(id)?.position !== position;
        const expected = announced.filter(isNew).map(({ id }) => id);
        const next = cursor + BigInt(advance);
        expect(ids(journal.add(announced, cursor))).toEqual(expected);
        for (const revocation of announced) all.set(revocation.id, revocation);
        cursor = next;
        for (let from = 100n; from <= cursor; from++) {
          const returned = journal.since(from);
          if (returned === null) continue;
          const known = new Set(returned.map(({ id }) => id));
          const missing = [...all.values()].filter(({ id, position }) => position >= from && !known.has(id));
          expect(missing).toEqual([]);
          expect(returned.every((revocation) => (revocation as PositionedRevocation).position >= from)).toBe(
            true,
          );
        }
        expect(journal.since(cursor)).not.toBeNull();
      }
    }),
  );
});
