import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';

import {
  canonicalNetwork,
  isLoopback,
  networkMatcher,
  type Network,
  parseNetwork,
  normaliseIp,
  sourceOf,
} from '../../src/net/cidr.ts';

describe('loopback', () => {
  test.each([
    ['127.0.0.1', true],
    ['127.255.255.254', true],
    ['::1', true],
    ['0:0:0:0:0:0:0:1', true],
    ['::0.0.0.1', true],
    ['128.0.0.1', false],
    ['12.7.0.1', false],
    ['::', false],
    ['::2', false],
    ['1::1', false],
    ['::127.0.0.1', false],
    ['64:ff9b::127.0.0.1', false],
  ])('%s: %s', (address, is) => expect(isLoopback(address)).toBe(is));
});

describe('L10 one source', () => {
  test.each([
    [null, 'local'],
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:0DB8:0001::', '2001:db8:1:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['::5:6:7:8:9:192.0.2.1', '0:5:6:7::/64'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:C000:0201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:c000:201', '192.0.2.1'],
    ['64:ff9b::192.0.2.1', '192.0.2.1'],
    ['64:ff9b::c000:201', '192.0.2.1'],
    ['2002:c000:201:7::1', '192.0.2.1'],
    ['2002:c000:0201:ffff::', '192.0.2.1'],
    // In a translator's own prefix the position of the IPv4 address is not known.
    ['64:ff9b:1::c000:201', '64:ff9b:1:0::/64'],
  ])('%s is %s', (address, source) => expect(sourceOf(address)).toBe(source));

  test('is the same for every notation of an IPv4 address, and for every IPv6 address in one /64', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(
        fc.tuple(octet, octet, octet, octet),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        (ip, low) => {
          const [a, b, c, d] = ip;
          const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
          const forms = [
            ip.join('.'),
            `::ffff:${ip.join('.')}`,
            `::ffff:${hex}`,
            `64:ff9b::${hex}`,
            `2002:${hex}::1`,
          ];
          expect(new Set(forms.map(sourceOf))).toEqual(new Set([ip.join('.')]));
          const end = low
            .toString(16)
            .padStart(16, '0')
            .replace(/(.{4})(?=.)/g, '$1:');
          expect(sourceOf(`2001:db8:a:b:${end}`)).toBe('2001:db8:a:b::/64');
        },
      ),
    );
  });
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::ffff:7f00:1', '127.0.0.1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['::ffff:192.0.2.1%eth0', '192.0.2.1'],
  ['2001:db8::1', '2001:db8::1'],
  // An address embedded by a translator or a tunnel is not taken for the peer's: that would mean trusting it.
  ['64:ff9b::192.0.2.1', '64:ff9b::192.0.2.1'],
  ['2002:c000:201::1', '2002:c000:201::1'],
  ['', null],
  ['localhost', null],
  ['192.0.2.1:80', null],
])('the normalised address of %s is %s', (text, address) => expect(normaliseIp(text)).toBe(address));

describe('L12 whether a network contains an address', () => {
  const isIn = (networks: string, address: string) =>
    networkMatcher(
      networks.split(',').map((text) => {
        const network = parseNetwork(text);
        if (!network) throw new Error(`no network: ${text}`);
        return network;
      }),
    )(address);
  test.each([
    ['192.0.2.0/24', '192.0.2.7', true],
    ['192.0.2.0/24', '::ffff:192.0.2.7', true],
    ['192.0.2.0/24', '::ffff:c000:207', true],
    ['192.0.2.0/24', '198.51.100.1', false],
    ['::ffff:192.0.2.0/120', '192.0.2.7', true],
    ['::ffff:c000:200/120', '::ffff:192.0.2.7', true],
    ['::ffff:192.0.2.0/120', '192.0.3.7', false],
    ['::ffff:192.0.2.1', '192.0.2.1', true],
    ['::ffff:192.0.2.1', '192.0.2.2', false],
    ['2001:db8::/32', '2001:db8:1::1', true],
    ['2001:db8::/32', '192.0.2.1', false],
    // Anybody can embed an address of this network in one of their own.
    ['192.0.2.0/24', '64:ff9b::192.0.2.7', false],
    ['192.0.2.0/24', '2002:c000:207::1', false],
    ['192.0.2.0/24', 'nonsense', false],
  ])('%s: %s %s', (networks, address, expected) => expect(isIn(networks, address)).toBe(expected));

  test.each(['192.0.2.0/33', '::ffff:192.0.2.0/129', '2001:db8::/064', 'fe80::1%eth0', 'example.com', ''])(
    '%j is not a network',
    (text) => expect(parseNetwork(text)).toBeNull(),
  );
});

describe('Q02 the canonical form of a network', () => {
  test.each([
    ['192.0.2.77/24', '192.0.2.0/24'],
    ['192.0.2.77', '192.0.2.77/32'],
    ['255.255.255.255/0', '0.0.0.0/0'],
    ['10.255.0.0/9', '10.128.0.0/9'],
    ['2001:db8:ffff::1/33', '2001:db8:8000:0:0:0:0:0/33'],
    ['2001:DB8::192.0.2.1/128', '2001:db8:0:0:0:0:c000:201/128'],
    ['::ffff:192.0.2.77/120', '192.0.2.0/24'],
  ])('%s is %s', (text, canonical) => {
    expect(canonicalNetwork(parseNetwork(text) as Network)).toBe(canonical);
  });

  test('it contains the same addresses, and is its own form', () => {
    const network = fc.oneof(
      fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
      fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
    );
    fc.assert(
      fc.property(network, fc.oneof(fc.ipV4(), fc.ipV6()), ([address, prefix], other) => {
        const parsed = parseNetwork(`${address}/${prefix}`) as Network;
        const canonical = parseNetwork(canonicalNetwork(parsed)) as Network;
        expect(canonicalNetwork(canonical)).toBe(canonicalNetwork(parsed));
        for (const each of [address, other])
          expect(networkMatcher([canonical])(each)).toBe(networkMatcher([parsed])(each));
      }),
    );
  });
});
