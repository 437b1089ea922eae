import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import { bytesOfUuid, uuidOfBytes, uuidV7 } from '../../src/domain/uuid.ts';

test('a UUID converts to its 16 bytes and back', () => {
  const uuid = '0190163d-8694-739b-aea5-966c26f8ad91';
  expect(bytesOfUuid(uuid).toString('hex')).toBe('0190163d8694739baea5966c26f8ad91');
  fc.assert(fc.property(fc.uuid(), (id) => uuidOfBytes(bytesOfUuid(id)) === id));
});

test('a view into a larger buffer converts only its own bytes', () => {
  const all = Buffer.from('ff0190163d8694739baea5966c26f8ad91ff', 'hex');
  expect(uuidOfBytes(all.subarray(1, 17))).toBe('0190163d-8694-739b-aea5-966c26f8ad91');
});

test('version 7 starts with the time, has the version and variant bits, and is random otherwise', () => {
  expect(uuidV7(0x0190163d8694, new Uint8Array(16))).toBe('0190163d-8694-7000-8000-000000000000');
  expect(uuidV7(0x0190163d8694, new Uint8Array(16).fill(0xff))).toBe('0190163d-8694-7fff-bfff-ffffffffffff');
  expect(() => uuidV7(0, new Uint8Array(15))).toThrow('16 random bytes');
});
