import { expect, test } from '@jest/globals';

import { networkMatcher, parseNetwork } from '../../src/net/cidr.ts';
import { forwardedClient } from '../../src/net/forwarded-for.ts';

const isTrusted = networkMatcher(
  ['192.0.2.0/24', '2001:db8:1::/48'].flatMap((text) => parseNetwork(text) ?? []),
);

test.each<[name: string, headers: string[], client: string | null]>([
  ['no header', [], null],
  ['one address', ['203.0.113.7'], '203.0.113.7'],
  ['what the client wrote before it', ['198.51.100.1, 203.0.113.7'], '203.0.113.7'],
  ['proxies behind proxies', ['203.0.113.7, 192.0.2.8,192.0.2.9'], '203.0.113.7'],
  ['several headers', ['198.51.100.1', '203.0.113.7', '192.0.2.9'], '203.0.113.7'],
  ['trusted proxies alone', ['192.0.2.8, 192.0.2.9'], '192.0.2.8'],
  ['an address with a port', ['203.0.113.7:4711'], '203.0.113.7'],
  ['IPv6 in brackets behind a proxy', ['[2001:db8:9::1]:4711, 2001:db8:1::5'], '2001:db8:9::1'],
  ['IPv4 mapped into IPv6', ['203.0.113.7, ::ffff:192.0.2.9'], '203.0.113.7'],
  ['text in the place of the client', ['unknown, 192.0.2.9'], null],
  ['text in the last place', ['203.0.113.7, _hidden'], null],
  ['text before the client', ['unknown, 203.0.113.7'], '203.0.113.7'],
  ['an empty header', [''], null],
  ['an empty last place', ['203.0.113.7,'], null],
])('H08 %s', (_name, headers, client) => {
  expect(forwardedClient(headers, isTrusted)).toBe(client);
});

test('H08 a long header is read in time that grows with its length', () => {
  const startedMs = performance.now();
  expect(forwardedClient([`${'192.0.2.9,'.repeat(1_600)}192.0.2.9`], isTrusted)).toBe('192.0.2.9');
  expect(performance.now() - startedMs).toBeLessThan(500);
});
