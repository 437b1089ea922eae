import { describe, expect, test } from '@jest/globals';

import { isHostName } from '../../src/net/host-name.ts';

const label = 'a'.repeat(63);

describe('is a host name', () => {
  test.each([
    'localhost',
    'LOCALHOST',
    'a.b',
    'xn--bcher-kva.example',
    '1and1.example',
    '1.a1',
    `${label}.example`,
    `${label}.${label}.${label}.${'a'.repeat(61)}`,
  ])('%s', (text) => expect(isHostName(text)).toBe(true));
});

describe('is not a host name', () => {
  test.each([
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    '-a',
    'a-',
    'a_b',
    'a b',
    'é.example',
    '127.1',
    '192.0.2.1',
    'a.1',
    `a${label}`,
    `${label}.${label}.${label}.${'a'.repeat(62)}`,
  ])('%j', (text) => expect(isHostName(text)).toBe(false));
});
