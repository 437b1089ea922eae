import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RevocationSet, type RevocationKind } from '../../src/domain/revocation-set.ts';
import { someClaims } from '../support/claims.ts';

const claims = someClaims();

describe('RevocationSet', () => {
  test('contains exactly the kind and id that was added', () => {
    const set = new RevocationSet();
    const id = '0197a1b2-89ab-7cde-8f01-23456789abcd';
    expect(set.has('sid', id)).toBe(false);
    expect(set.add('sid', id, 100)).toBe(true);
    expect(set.add('sid', id, 100)).toBe(false);
    expect(set.size).toBe(1);
    expect(set.has('sid', id)).toBe(true);
    expect(set.has('jti', id)).toBe(false);
    expect(set.has('kid', id)).toBe(false);
    for (const other of [
      id.toUpperCase(),
      id.replaceAll('-', ''),
      `${id} `,
      id.slice(0, -1),
      `${id.slice(0, -1)}e`,
      `{${id}}`,
      '',
    ]) {
      expect(set.has('sid', other)).toBe(false);
    }
  });

  test('an id that is not a UUID never equals one that is', () => {
    const set = new RevocationSet();
    set.add('jti', '00000000-0000-0000-0000-000000000041', 1);
    expect(set.has('jti', `${'\0'.repeat(15)}A`)).toBe(false);
    set.add('jti', `${'\0'.repeat(15)}B`, 1);
    expect(set.has('jti', '00000000-0000-0000-0000-000000000042')).toBe(false);
    expect(set.has('jti', `${'\0'.repeat(15)}B`)).toBe(true);
  });

  test('covers claims by session, token or key', () => {
    const set = new RevocationSet();
    expect(set.covers({ ...claims, sessionId: 's', tokenId: 't', keyId: 'k' })).toBe(false);
    for (const [kind, id, member] of [
      ['sid', 's', 'sessionId'],
      ['jti', 't', 'tokenId'],
      ['kid', 'k', 'keyId'],
    ] as const) {
      const one = new RevocationSet();
      one.add(kind, id, 1);
      expect(one.covers({ ...claims, [member]: id })).toBe(true);
      expect(one.covers({ ...claims, sessionId: 'x', tokenId: 'x', keyId: 'x' })).toBe(false);
      expect(one.covers(claims)).toBe(false);
    }
  });

  test('keeps the later expiry, and purges an entry at its expiry and not before', () => {
    const set = new RevocationSet();
    set.add('sid', 'a', 100);
    set.add('sid', 'a', 50);
    set.add('jti', 'b', 60.2);
    expect(set.purge(60)).toBe(0);
    expect(set.purge(61)).toBe(1);
    expect(set.has('jti', 'b')).toBe(false);
    expect(set.purge(99)).toBe(0);
    expect(set.has('sid', 'a')).toBe(true);
    expect(set.purge(100)).toBe(1);
    expect(set.size).toBe(0);
  });

  test('purges a large set in batches while it grows', () => {
    const set = new RevocationSet();
    for (let number = 0; number < 1000; number++) set.add('sid', randomUUID(), number % 2 === 0 ? 10 : 1000);
    let purged = 0;
    for (let call = 0; call < 40; call++) {
      purged += set.purge(10, 30);
      set.add('jti', `late-${call}`, 1000);
    }
    expect(purged).toBe(500);
    expect(set.size).toBe(540);
  });

  test('behaves like a plain map', () => {
    const id = fc.oneof(
      fc.uuid(),
      fc.uuid().map((text) => text.toUpperCase()),
      fc.string({ maxLength: 20 }),
      fc.constantFrom('a', 'b'),
    );
    const kind = fc.constantFrom<RevocationKind>('sid', 'jti', 'kid');
    const additions = fc.array(fc.tuple(kind, id, fc.integer({ min: 1, max: 10 })), { maxLength: 40 });
    fc.assert(
      fc.property(additions, fc.integer({ min: 0, max: 11 }), (added, now) => {
        const set = new RevocationSet();
        const plain = new Map<string, number>();
        for (const [each, text, expiry] of added) {
          set.add(each, text, expiry);
          plain.set(`${each} ${text}`, Math.max(expiry, plain.get(`${each} ${text}`) ?? 0));
        }
        expect(new Map([...set].map((one) => [`${one.kind} ${one.id}`, one.expiresAtSeconds]))).toEqual(
          plain,
        );
        set.purge(now);
        const left = [...plain].filter(([, expiry]) => expiry > now).map(([key]) => key);
        expect([...set].map((one) => `${one.kind} ${one.id}`).sort()).toEqual(left.sort());
        expect(set.size).toBe(left.length);
      }),
      { numRuns: 500 },
    );
  });
});
