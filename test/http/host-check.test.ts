import { expect, test } from '@jest/globals';

import { anyHost, hostCheck } from '../../src/http/host-check.ts';

const check = hostCheck({
  names: new Set(['auth.example.com', 'web-1', 'xn--bcher-kva.example']),
  certificateNames: () => ['cert.example.net', '*.wild.example.net'],
});
const statusOf = (host: string | string[], url = '/console/') => {
  const hosts = typeof host === 'string' ? [host] : host;
  const rawHeaders = ['accept', '*/*', ...hosts.flatMap((value) => ['Host', value]), 'cookie', 'host=a'];
  return check({ url, rawHeaders })?.status ?? 'own';
};

test.each([
  'auth.example.com',
  'AUTH.Example.COM',
  'auth.example.com.',
  'auth.example.com:443',
  'auth.example.com:',
  'auth.example.com.:8080',
  'web-1',
  'xn--bcher-kva.example',
  'localhost',
  'LOCALHOST:8080',
  'localhost.',
  'app.localhost:5173',
  '127.0.0.1:8080',
  '192.0.2.7',
  '203.0.113.9:1',
  '[::1]',
  '[::1]:8080',
  '[2001:DB8::1]:443',
  '[::ffff:127.0.0.1]',
  'cert.example.net',
  'any.wild.example.net:9',
])('C04 %s is a host of the listener, whatever the port', (host) => expect(statusOf(host)).toBe('own'));

test.each([
  'attacker.example',
  'attacker.example:8080',
  // The names of the listener within others.
  'auth.example.com.attacker.example',
  'a.auth.example.com',
  'xauth.example.com',
  'localhost.attacker.example',
  'notlocalhost',
  '127.0.0.1.attacker.example',
  'wild.example.net',
  'a.b.wild.example.net',
  '.wild.example.net',
  // Not addresses in the form that browsers send.
  '127.1',
  '0x7f000001',
  '2130706433',
  '256.0.0.1',
])('C04 %s is another host', (host) => expect(statusOf(host)).toBe(421));

test.each([
  '',
  ' ',
  ':8080',
  'user@auth.example.com',
  'user:password@localhost',
  'auth.example.com:80:80',
  'auth.example.com:8o',
  'auth.example.com, attacker.example',
  'http://auth.example.com',
  'auth.example.com/',
  '::1',
  '[::1',
  '[localhost]:1',
  'bücher.example',
  'auth%2eexample.com',
  'a'.repeat(254),
  '.',
])('C04 %j is no host', (host) => expect(statusOf(host)).not.toBe('own'));

test('C04 the refusal of another host names it and the setting', () => {
  expect(check({ url: '/', rawHeaders: ['Host', 'Attacker.example:80'] })).toEqual({
    status: 421,
    description:
      'attacker.example is not a host name of this listener; if it should be, add it to POSTERN_HTTP_HOSTS',
  });
});

test('C04 a host that was accepted before stays so only while the certificate has it', () => {
  let certificateNames = ['cert.example.net'];
  const renewing = hostCheck({ names: new Set(), certificateNames: () => certificateNames });
  const isOwn = (host: string) => renewing({ url: '/', rawHeaders: ['Host', host] }) === null;
  expect(['cert.example.net', '127.0.0.1:1', '127.0.0.1:1'].map(isOwn)).toEqual([true, true, true]);
  certificateNames = [];
  expect(['cert.example.net', '127.0.0.1:1'].map(isOwn)).toEqual([false, true]);
});

test('C04 several hosts are refused, even the same', () => {
  expect(statusOf(['auth.example.com', 'auth.example.com'])).toBe(400);
  expect(statusOf(['localhost', 'attacker.example'])).toBe(400);
  expect(statusOf(['localhost', 'localhost'], 'http://localhost/')).toBe(400);
});

test('C04 a request without a host, of HTTP/1.0, comes from no browser', () => {
  expect(statusOf([])).toBe('own');
});

test('C04 the host of a whole URL counts instead of the header', () => {
  expect(statusOf('localhost', 'http://attacker.example/console/')).toBe(421);
  expect(statusOf('attacker.example', 'http://auth.example.com:8080/console/')).toBe('own');
  expect(statusOf('attacker.example', 'HTTPS://AUTH.example.com?x')).toBe('own');
  expect(statusOf('localhost', 'http://localhost@attacker.example/')).toBe(400);
  expect(statusOf('localhost', 'http://attacker.example#@localhost/')).toBe(421);
  expect(statusOf([], 'http://attacker.example/')).toBe(421);
  expect(statusOf('localhost', 'http:///console/')).toBe(400);
  expect(statusOf('attacker.example', '*')).toBe(421);
});

test('C04 behind a unix socket every host is accepted', () => {
  expect(anyHost({ url: '/', rawHeaders: ['host', 'attacker.example'] })).toBeNull();
});
