import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import { forwardedIp } from '../../src/net/forwarded-ip.ts';

describe('L12 the address that a gateway reports of its client', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:4711', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['[::ffff:192.0.2.1]:4711', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%eth0]:4711', 'fe80::1'],
  ])('%s is %s', (written, address) => expect(forwardedIp(written)).toBe(address));

  test.each([
    '',
    'unknown',
    'not an address',
    'localhost',
    '192.0.2',
    '0192.0.2.1',
    ' 192.0.2.1',
    '192.0.2.0/24',
    '192.0.2.1, 192.0.2.2',
    '[192.0.2.1]:80',
    '[2001:db8::1',
    '2001:db8::1]:80',
    '[2001:db8::1]:',
    `fe80::1%${'x'.repeat(200)}`,
  ])('%j is none', (written) => expect(forwardedIp(written)).toBeNull());

  test('every address is taken, with and without a port', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(forwardedIp(`${address}:80`)).toBe(forwardedIp(address));
        expect(forwardedIp(address)).toBe(address);
      }),
    );
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        expect(forwardedIp(address)).not.toBeNull();
        expect(forwardedIp(`[${address}]:80`)).toBe(forwardedIp(address));
      }),
    );
  });
});
