import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import type { Revocation } from '../../src/domain/revocation-set.ts';
import { createKeyRing } from '../../src/tokens/verify/key-ring.ts';
import { positionOf } from '../../src/trust/revocation-position.ts';
import { RelayedStream } from '../../src/trust/relayed-stream.ts';
import { RevocationJournal, type PositionedRevocation } from '../../src/trust/revocation-journal.ts';
import { TrustBundle, type TrustChange } from '../../src/trust/trust-bundle.ts';

const revocation = (id: string): Revocation => ({ kind: 'sid', id, expiresAtSeconds: 1_000 });
const positioned = (id: string, position: number): PositionedRevocation => ({
  ...revocation(id),
  position: BigInt(position),
});
const updatesOf = (revocations: PositionedRevocation[], cursor: number, complete = true, readAtMs = 0) => ({
  revocations,
  cursor: BigInt(cursor),
  complete,
  readAtMs,
});
const ids = (revocations: readonly Revocation[] | null) => revocations?.map(({ id }) => id) ?? null;
function listenTo(bundle: TrustBundle): { id: string; cursor: bigint | null }[] {
  const announced: { id: string; cursor: bigint | null }[] = [];
  bundle.subscribe((change: TrustChange) => {
    if (change.kind === 'keys') return;
    for (const { id } of change.revocations) announced.push({ id, cursor: bundle.cursor });
  });
  return announced;
}

describe('a bundle', () => {
  test('is loaded when it has keys and a full list', () => {
    const bundle = new TrustBundle();
    bundle.applyUpdates(updatesOf([positioned('a', 1)], 5, false));
    bundle.replaceKeys(createKeyRing([]));
    expect([bundle.loaded, bundle.cursor, bundle.ageMs]).toEqual([false, null, Infinity]);
    bundle.applyUpdates(updatesOf([positioned('b', 2)], 5));
    expect([bundle.loaded, bundle.cursor, bundle.revocationCount]).toEqual([true, 5n, 2]);
  });

  test('has the age of the last complete read, measured from its start', () => {
    const bundle = new TrustBundle(() => 100);
    bundle.applyUpdates(updatesOf([], 5, true, 60));
    expect(bundle.ageMs).toBe(40);
    bundle.applyUpdates(updatesOf([], 6, false, 90));
    expect(bundle.ageMs).toBe(40);
  });

  test('S13 moves its cursor with the last page only, and before it notifies subscribers', () => {
    const bundle = new TrustBundle();
    bundle.applyUpdates(updatesOf([], 5));
    const announced = listenTo(bundle);
    bundle.applyUpdates(updatesOf([positioned('a', 5)], 9, false));
    bundle.applyUpdates(updatesOf([positioned('b', 7)], 9));
    expect(announced).toEqual([
      { id: 'a', cursor: 5n },
      { id: 'b', cursor: 9n },
    ]);
  });

  test('S13 announces its own revocation at once, and again at its position, so that no cursor skips it', () => {
    const bundle = new TrustBundle();
    bundle.applyUpdates(updatesOf([], 5));
    const announced = listenTo(bundle);
    bundle.revoke([revocation('own')]);
    expect(bundle.missedSince(5n)).toEqual([]);
    bundle.applyUpdates(updatesOf([positioned('own', 6)], 9));
    expect(announced).toEqual([
      { id: 'own', cursor: 5n },
      { id: 'own', cursor: 9n },
    ]);
    expect(ids(bundle.missedSince(6n))).toEqual(['own']);
  });

  test('does not answer a cursor ahead of its own, nor any cursor while positions go back', () => {
    const bundle = new TrustBundle();
    bundle.applyUpdates(updatesOf([], 50));
    expect(bundle.missedSince(51n)).toBeNull();
    bundle.applyUpdates(updatesOf([positioned('restored', 3)], 10, false));
    expect(bundle.missedSince(50n)).toBeNull();
    bundle.applyUpdates(updatesOf([positioned('more', 4)], 10));
    expect([bundle.cursor, bundle.missedSince(50n), bundle.missedSince(10n)]).toEqual([10n, null, []]);
  });

  test('S13 treats positions of another epoch as different, and announces only unknown revocations', () => {
    const bundle = new TrustBundle();
    const [before, after] = [7n, 8n];
    const from = (epoch: bigint, id: string, transaction: bigint) => ({
      ...revocation(id),
      position: positionOf(epoch, transaction),
    });
    const read = (epoch: bigint, revocations: PositionedRevocation[], horizon: bigint) =>
      bundle.applyUpdates({ revocations, cursor: positionOf(epoch, horizon), complete: true, readAtMs: 0 });
    read(before, [from(before, 'both', 40n), from(before, 'lost', 48n)], 50n);
    const announced = listenTo(bundle);
    // The standby had replayed up to 45 at promotion, and had reached 60 at the first read.
    read(after, [from(after, 'both', 40n), from(after, 'twin', 48n)], 60n);
    expect(announced.map(({ id }) => id)).toEqual(['twin']);
    expect(bundle.missedSince(positionOf(before, 50n))).toBeNull();
    expect(bundle.missedSince(positionOf(before, 70n))).toBeNull();
    expect(bundle.missedSince(positionOf(after, 50n))).toBeNull();
    expect(bundle.missedSince(positionOf(after, 60n))).toEqual([]);
  });

  test('S13 announces its own revocation again when the first read of it is from another server', () => {
    const bundle = new TrustBundle();
    const read = (epoch: bigint, revocations: PositionedRevocation[], horizon: bigint) =>
      bundle.applyUpdates({ revocations, cursor: positionOf(epoch, horizon), complete: true, readAtMs: 0 });
    read(7n, [], 50n);
    bundle.revoke([revocation('own')]);
    // Of a watcher that resumed after `revoke`, and before the read.
    const announced = listenTo(bundle);
    read(8n, [{ ...revocation('own'), position: positionOf(8n, 50n) }], 60n);
    expect(announced).toEqual([{ id: 'own', cursor: positionOf(8n, 60n) }]);
  });

  test('R10 lets nobody resume at or below the first list of a relay, whose order is not known', () => {
    const relay = new TrustBundle(() => 0);
    relay.applyBatch({ revocations: [revocation('a')], cursor: 50n, isSnapshot: true });
    // Nor with any other cursor, before everything from then on is known.
    relay.confirm(1_999);
    expect(relay.missedSince(51n)).toBeNull();
    relay.confirm(2_000);
    expect([relay.missedSince(49n), relay.missedSince(50n), relay.addedSince(50n)]).toEqual([null, null, []]);
    relay.applyBatch({ revocations: [revocation('b')], cursor: 60n, isSnapshot: false });
    expect(relay.missedSince(50n)).toBeNull();
    expect(ids(relay.addedSince(51n))).toEqual(['b']);
    // Another instance is behind: what is known stays known.
    relay.applyBatch({ revocations: [revocation('c')], cursor: 55n, isSnapshot: false });
    expect([relay.cursor, ids(relay.addedSince(60n))]).toEqual([60n, ['b', 'c']]);
  });

  test('R10 sends a relayed revocation to whoever resumes, until a later read settles its place', () => {
    let nowMs = 0;
    const relay = new TrustBundle(() => nowMs);
    relay.applyBatch({ revocations: [], cursor: 10n, isSnapshot: true });
    relay.confirm(2_000);
    // An instance that is reading many pages sends one on before its cursor moves to 30; another instance may be there already.
    nowMs = 5_000;
    relay.applyBatch({ revocations: [revocation('early')], cursor: 14n, isSnapshot: false });
    relay.applyBatch({ revocations: [], cursor: 30n, isSnapshot: false });
    relay.confirm(6_999);
    expect(ids(relay.missedSince(25n))).toEqual(['early']);
    relay.applyBatch({ revocations: [], cursor: 40n, isSnapshot: false });
    relay.confirm(7_000);
    expect([ids(relay.missedSince(40n)), ids(relay.missedSince(25n))]).toEqual([['early'], ['early']]);
    relay.applyBatch({ revocations: [], cursor: 41n, isSnapshot: false });
    expect(relay.missedSince(41n)).toEqual([]);
  });

  test('R10 gives a full list to whoever resumes while too much has no place yet', () => {
    const relay = new TrustBundle(() => 0);
    relay.applyBatch({ revocations: [], cursor: 10n, isSnapshot: true });
    relay.confirm(2_000);
    expect(relay.missedSince(11n)).toBeNull();
    const many = Array.from({ length: 100_001 }, (_, index) => revocation(`of ${index}`));
    relay.applyBatch({ revocations: many, cursor: 20n, isSnapshot: false });
    expect(relay.missedSince(20n)).toBeNull();
    relay.confirm(2_000);
    relay.applyBatch({ revocations: [], cursor: 21n, isSnapshot: false });
    expect([relay.missedSince(20n), relay.missedSince(21n)]).toEqual([null, []]);
  });

  test('R10 announces what a full list adds, also when it took effect with a chunk before', () => {
    const relay = new TrustBundle();
    relay.applyBatch({ revocations: [revocation('old')], cursor: 50n, isSnapshot: true });
    const announced = listenTo(relay);
    relay.revokeEarly([revocation('early')]);
    expect([announced, relay.isTokenIdRevoked('early'), relay.revocationCount]).toEqual([[], false, 2]);
    const list = [revocation('old'), revocation('early'), revocation('new')];
    relay.applyBatch({ revocations: list, cursor: 70n, isSnapshot: true });
    expect(announced.map(({ id }) => id)).toEqual(['early', 'new']);
  });

  test('R10 a snapshot that was begun at the cursor of a further full list gets what that list added', () => {
    const relay = new TrustBundle();
    relay.applyBatch({ revocations: [revocation('a')], cursor: 50n, isSnapshot: true });
    relay.applyBatch({ revocations: ['a', 'b'].map(revocation), cursor: 50n, isSnapshot: true });
    expect(ids(relay.addedSince(50n))).toEqual(['b']);
  });

  test('R10 a full list announces once more what had come before it, for relays that have it at an earlier place', () => {
    const relay = new TrustBundle();
    relay.applyBatch({ revocations: [revocation('old')], cursor: 50n, isSnapshot: true });
    relay.applyBatch({ revocations: [revocation('ahead')], cursor: 60n, isSnapshot: false });
    const announced = listenTo(relay);
    relay.applyBatch({ revocations: ['old', 'ahead'].map(revocation), cursor: 70n, isSnapshot: true });
    expect(announced.map(({ id }) => id)).toEqual(['ahead']);
  });

  test('R10 announces what is known once more, when a batch is of another database server', () => {
    const relay = new TrustBundle();
    const batch = { revocations: [revocation('a')], isSnapshot: true };
    relay.applyBatch({ ...batch, cursor: positionOf(1n, 50n) });
    const announced = listenTo(relay);
    relay.applyBatch({ ...batch, cursor: positionOf(2n, 10n), isSnapshot: false });
    expect(announced.map(({ id }) => id)).toEqual(['a']);
  });

  test('R10 a batch that is complete leaves chunks of the next one to be announced', () => {
    const relay = new TrustBundle();
    relay.applyBatch({ revocations: [], cursor: 50n, isSnapshot: true });
    relay.revokeEarly([revocation('next')]);
    relay.applyBatch({ revocations: [revocation('b')], cursor: 60n, isSnapshot: false });
    const announced = listenTo(relay);
    relay.applyBatch({ revocations: [revocation('next')], cursor: 70n, isSnapshot: true });
    expect(announced.map(({ id }) => id)).toEqual(['next']);
  });

  test('R10 a chunk takes effect when it arrives, before its batch is complete', () => {
    const relay = new TrustBundle();
    new RelayedStream(relay).revoke([revocation('chunk')]);
    expect(relay.revocationCount).toBe(1);
  });

  test.each(['', 'v9.unknown'])(
    'R10 a batch with the cursor %j has no place, and is not applied',
    (cursor) => {
      const relay = new TrustBundle();
      expect(() => new RelayedStream(relay).complete(cursor, true)).toThrow(/cursor/);
      expect(relay.cursor).toBeNull();
    },
  );

  test('resolves waits when it is loaded, or at their timeout', async () => {
    const bundle = new TrustBundle();
    await bundle.whenLoaded(1);
    const waiting = bundle.whenLoaded(10_000);
    bundle.replaceKeys(createKeyRing([]));
    bundle.applyUpdates(updatesOf([], 5));
    await waiting;
    expect(bundle.loaded).toBe(true);
    await bundle.whenLoaded(10_000);
  });

  test('does not notify after unsubscribing', () => {
    const bundle = new TrustBundle();
    let calls = 0;
    const leave = bundle.subscribe(() => calls++);
    bundle.replaceKeys(createKeyRing([]));
    leave();
    bundle.replaceKeys(createKeyRing([]));
    expect(calls).toBe(1);
  });
});

/**
 * A table whose transactions commit in any order, and a source that reads it as the feed does: from the
 * oldest transaction that was still running at the previous read.
 */
class Table {
  readonly committed: PositionedRevocation[] = [];
  readonly #running = new Set<number>();
  #next = 1;

  begin(): number {
    this.#running.add(this.#next);
    return this.#next++;
  }

  commit(position: number): void {
    if (this.#running.delete(position)) this.committed.push(positioned(`of ${position}`, position));
  }

  read(bundle: TrustBundle, pageRows: number): void {
    const cursor = Math.min(this.#next, ...this.#running);
    const since = bundle.cursor ?? 0n;
    const rows = this.committed
      .filter(({ position }) => position >= since)
      .sort((a, b) => Number(a.position - b.position));
    for (let from = 0; ; from += pageRows) {
      const page = rows.slice(from, from + pageRows);
      const complete = page.length < pageRows;
      bundle.applyUpdates(updatesOf(page, cursor, complete));
      if (complete) return;
    }
  }
}

test('S13 property: a watcher that loses its stream at any time and resumes by cursor misses nothing', () => {
  const action = fc.constantFrom<'begin' | 'commit' | 'revoke' | 'read' | 'lose' | 'return'>(
    'begin',
    'commit',
    'revoke',
    'read',
    'lose',
    'return',
  );
  const actions = fc.array(fc.record({ act: action, choice: fc.nat() }), { maxLength: 120 });
  const sizes = fc.record({
    maxKept: fc.integer({ min: 1, max: 20 }),
    pageRows: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(
    fc.property(actions, sizes, (steps, { maxKept, pageRows }) => {
      const table = new Table();
      // Two instances of the service on one database.
      const [one, other] = [0, 1].map(() => new TrustBundle(undefined, new RevocationJournal(maxKept))) as [
        TrustBundle,
        TrustBundle,
      ];
      const bundles = [one, other];
      for (const bundle of bundles) table.read(bundle, pageRows);
      const running: number[] = [];
      const learned = new Set<string>();
      let cursor: bigint | null = null;
      const stream: { leave: (() => void) | null } = { leave: null };
      const watch = (bundle: TrustBundle) => {
        const missed = cursor === null ? null : bundle.missedSince(cursor);
        for (const { id } of missed ?? bundle.revocations()) learned.add(id);
        cursor = bundle.cursor;
        stream.leave = bundle.subscribe((change) => {
          if (change.kind === 'revocations') for (const { id } of change.revocations) learned.add(id);
          cursor = bundle.cursor;
        });
      };
      for (const { act: step, choice } of steps) {
        const bundle = choice % 2 === 0 ? one : other;
        const [position] = running.splice(choice % Math.max(1, running.length), step === 'commit' ? 1 : 0);
        if (step === 'begin') running.push(table.begin());
        if (step === 'read') table.read(bundle, pageRows);
        if (position !== undefined) table.commit(position);
        if (step === 'revoke') {
          const own = table.begin();
          table.commit(own);
          bundle.revoke([revocation(`of ${own}`)]);
        }
        if (step === 'lose') {
          stream.leave?.();
          stream.leave = null;
        }
        if (step === 'return' && stream.leave === null) watch(bundle);
      }
      for (const position of running) table.commit(position);
      if (stream.leave === null) watch(one);
      for (const bundle of bundles) table.read(bundle, pageRows);
      expect(table.committed.filter(({ id }) => !learned.has(id))).toEqual([]);
    }),
    { numRuns: 2_000 },
  );
});
