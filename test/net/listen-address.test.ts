import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatListenAddress, parseListenAddress, isLocalAddress } from '../../src/net/listen-address.ts';

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });
const unix = (path: string) => ({ kind: 'unix', path });

describe('reads', () => {
  test.each([
    ['127.0.0.1:50051', tcp('127.0.0.1', 50051)],
    ['0.0.0.0:0', tcp('0.0.0.0', 0)],
    ['localhost:65535', tcp('localhost', 65535)],
    ['auth.internal-1.example:443', tcp('auth.internal-1.example', 443)],
    ['[::1]:8080', tcp('::1', 8080)],
    ['[::]:8080', tcp('::', 8080)],
    ['unix:postern.sock', unix('postern.sock')],
    ['unix:/run/postern.sock', unix('/run/postern.sock')],
    ['unix:///run/postern.sock', unix('/run/postern.sock')],
    [`unix:/${'x'.repeat(106)}`, unix(`/${'x'.repeat(106)}`)],
  ])('%s', (text, address) => expect(parseListenAddress(text)).toEqual(address));
});

describe('refuses', () => {
  test.each([
    '',
    '50051',
    ':50051',
    'localhost',
    'localhost:',
    'localhost:65536',
    'localhost:050',
    'localhost:-1',
    'localhost:80 ',
    ' localhost:80',
    '*:80',
    '::1:80',
    '[127.0.0.1]:80',
    '[::1]',
    '[gg::]:80',
    '256.0.0.1:80',
    '127.1:80',
    'a..b:80',
    '-a:80',
    'http://localhost:80',
    'unix:',
    'unix://relative',
    'unix:a\0b',
    `unix:/${'x'.repeat(107)}`,
  ])('%j', (text) => expect(parseListenAddress(text)).toBeNull());
});

test('a formatted address parses to the same address', () => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
  fc.assert(
    fc.property(host, fc.nat(65_535), (name, port) => {
      const text = formatListenAddress({ kind: 'tcp', host: name, port });
      expect(parseListenAddress(text)).toEqual({ kind: 'tcp', host: name, port });
    }),
  );
  expect(formatListenAddress({ kind: 'unix', path: '/a' })).toBe('unix:/a');
});

describe('N10 an address is reachable only from this machine', () => {
  test.each([
    ['127.0.0.1:1', true],
    ['127.255.0.9:1', true],
    ['localhost:1', true],
    ['LOCALHOST:1', true],
    ['[::1]:1', true],
    ['[0:0:0:0:0:0:0:1]:1', true],
    ['[::ffff:127.0.0.1]:1', true],
    ['unix:x', true],
    ['0.0.0.0:1', false],
    ['[::]:1', false],
    ['10.0.0.1:1', false],
    ['[::ffff:10.0.0.1]:1', false],
    ['[fe80::1]:1', false],
    ['localhost.example.com:1', false],
    ['127.0.0.1.example.com:1', false],
    ['my-host:1', false],
  ])('%s: %s', (text, stays) => {
    const address = parseListenAddress(text);
    expect(address !== null && isLocalAddress(address)).toBe(stays);
  });
});
