import { createHash, randomBytes } from 'node:crypto';

import { expect, test } from '@jest/globals';

import { ApiKeyDigests, type ApiKeyRights } from '../../src/crypto/api-key-digests.ts';
import { isScannableSecret } from '../../src/crypto/api-secret.ts';

const digests = new ApiKeyDigests((purpose) => createHash('sha256').update(purpose).digest());

test('Q14 every key is found by the documented rule of scanners, and by its checksum', () => {
  const rule = /\b(pak|psk|prs)_[0-9A-Za-z]{49}\b/g;
  for (const random of [
    Buffer.alloc(32),
    Buffer.alloc(32, 255),
    ...Array.from({ length: 200 }, () => randomBytes(32)),
  ]) {
    const key = digests.make(random);
    expect(`POSTERN_KEY="${key}"; curl -H 'authorization: Bearer ${key}'`.match(rule)).toEqual([key, key]);
    expect(isScannableSecret('pak_', key)).toBe(true);
    const mistyped = key.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'));
    expect(isScannableSecret('pak_', mistyped)).toBe(false);
    expect(isScannableSecret('psk_', key.replace('pak_', 'psk_'))).toBe(false);
  }
});

test('Q08 the digest is keyed, and equal for the key and for its SHA-256', () => {
  const key = digests.make(randomBytes(32));
  const sha256 = createHash('sha256').update(key).digest();
  expect(digests.of(key)).toEqual(digests.ofHash(sha256));
  expect(digests.of(key)).not.toEqual(sha256);
  expect(new ApiKeyDigests(() => Buffer.alloc(32)).of(key)).not.toEqual(digests.of(key));
});

test('Q08 the MAC covers everything that a key may do', () => {
  const rights: ApiKeyRights = {
    id: 'a',
    ownerType: 'user',
    ownerId: 'b',
    digest: Buffer.alloc(32),
    roles: ['reader', 'writer'],
    audience: 'postern',
    networks: ['192.0.2.0/24'],
    createdAt: new Date(1_000),
    expiresAt: new Date(2_000),
  };
  const others: Partial<ApiKeyRights>[] = [
    { id: 'c' },
    { ownerType: 'service' },
    { ownerId: 'c' },
    { digest: Buffer.alloc(32, 1) },
    { roles: ['reader,writer'] },
    { roles: [] },
    { audience: 'billing' },
    { networks: [] },
    { createdAt: new Date(1_001) },
    { expiresAt: new Date(2_001) },
    { expiresAt: null },
  ];
  const macs = [rights, ...others.map((other) => ({ ...rights, ...other }))].map((each) =>
    digests.macOf(each).toString('hex'),
  );
  expect(new Set(macs).size).toBe(macs.length);
  expect(digests.macOf({ ...rights })).toEqual(digests.macOf(rights));
});
