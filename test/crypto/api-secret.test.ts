import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  bytesOfScannableSecret,
  isScannableSecret,
  makeScannableSecret,
} from '../../src/crypto/api-secret.ts';
import { SecretDigests } from '../../src/crypto/keyed-digests.ts';

const random = fc.uint8Array({ minLength: 32, maxLength: 32 });

test('a generated secret matches its format, and a secret scanner finds it in surrounding text', () => {
  fc.assert(
    fc.property(random, (bytes) => {
      const secret = makeScannableSecret('psk_', bytes);
      expect(isScannableSecret('psk_', secret)).toBe(true);
      expect(`KEY="${secret}";`.match(/\b(psk|prs)_[0-9A-Za-z]{49}\b/)?.[0]).toBe(secret);
    }),
  );
  expect(makeScannableSecret('psk_', new Uint8Array(32))).toMatch(/^psk_0{43}/);
  expect(makeScannableSecret('psk_', new Uint8Array(32).fill(255))).toHaveLength(53);
});

test('the bytes of a secret can be read back, and any well-formed secret has 32', () => {
  fc.assert(
    fc.property(random, (bytes) => {
      expect([...bytesOfScannableSecret(makeScannableSecret('prs_', bytes))]).toEqual([...bytes]);
    }),
  );
  expect(bytesOfScannableSecret(`psk_${'z'.repeat(49)}`)).toHaveLength(32);
});

test('different random bytes give different secrets', () => {
  fc.assert(
    fc.property(random, random, (one, other) => {
      fc.pre(Buffer.compare(one, other) !== 0);
      expect(makeScannableSecret('psk_', one)).not.toBe(makeScannableSecret('psk_', other));
    }),
  );
});

test('a mistyped character, another prefix and any other text are refused', () => {
  fc.assert(
    fc.property(random, fc.nat(48), fc.constantFrom('0', 'A', 'z'), (bytes, place, typed) => {
      const secret = makeScannableSecret('prs_', bytes);
      const mistyped = secret.slice(0, 4 + place) + typed + secret.slice(5 + place);
      expect(isScannableSecret('prs_', mistyped)).toBe(mistyped === secret);
      expect(isScannableSecret('psk_', secret)).toBe(false);
      expect(isScannableSecret('psk_', secret.replace('prs_', 'psk_'))).toBe(false);
      expect(isScannableSecret('prs_', `${secret}\n`)).toBe(false);
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => expect(isScannableSecret('psk_', text)).toBe(false)));
});

const digestsOf = (root: string) => new SecretDigests((purpose) => Buffer.from(`${root} ${purpose}`));

test('digests depend on the root key and on the purpose of the secret', () => {
  const digests = digestsOf('one root');
  const others = digestsOf('another root');
  const of = digests.ofServiceSecret('x');
  expect(of.equals(digests.ofServiceSecret('x'))).toBe(true);
  for (const other of [digests.ofServiceSecret('y'), digests.ofResetToken('x'), others.ofServiceSecret('x')])
    expect(of.equals(other)).toBe(false);
});

test("D20 a secret with an owner is for that owner alone, and one without may be anybody's", () => {
  const digests = digestsOf('one root');
  const twenty = fc.uint8Array({ minLength: 20, maxLength: 20 });
  fc.assert(
    fc.property(twenty, fc.uuid(), fc.uuid(), (bytes, owner, other) => {
      fc.pre(owner !== other);
      const secret = digests.makeServiceSecret(owner, bytes);
      expect(isScannableSecret('psk_', secret)).toBe(true);
      expect([digests.couldBeSecretOf(owner, secret), digests.couldBeSecretOf(other, secret)]).toEqual([
        true,
        false,
      ]);
      const token = digests.makeResetToken(owner, bytes);
      expect(isScannableSecret('prs_', token)).toBe(true);
      expect([digests.couldBeResetOf(owner, token), digests.couldBeResetOf(other, token)]).toEqual([
        true,
        false,
      ]);
    }),
  );
  fc.assert(
    fc.property(random, fc.uuid(), (bytes, owner) => {
      expect(digests.couldBeSecretOf(owner, makeScannableSecret('psk_', bytes))).toBe(true);
    }),
  );
  expect(() => digests.makeServiceSecret('x', new Uint8Array(32))).toThrow(RangeError);
});
