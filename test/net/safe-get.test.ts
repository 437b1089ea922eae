import { createServer, type AddressInfo, type LookupFunction } from 'node:net';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { parseNetwork } from '../../src/net/cidr.ts';
import { isPublicAddress } from '../../src/net/public-address.ts';
import { safeGet, type SafeGetOptions, unsafeUrlFault } from '../../src/net/safe-get.ts';
import { type OutsideServer, startOutsideServer } from '../support/outside-issuer.ts';

const loopback = [parseNetwork('127.0.0.0/8')].filter((network) => network !== null);
const options: SafeGetOptions = { networks: [], caPem: null, bearer: null, accept: 'application/json' };

test.each([
  '0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1', '172.31.255.255',
  '192.0.0.1', '192.0.2.1', '192.88.99.1', '192.168.1.1', '198.18.0.1', '198.51.100.7', '203.0.113.9', '224.0.0.1',
  '240.0.0.1', '255.255.255.255', '::', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:169.254.169.254', '::127.0.0.1',
  '64:ff9b::7f00:1', '64:ff9b:1::a00:1', '100::1', '2001::1', '2001:db8::1', '2002:7f00:1::', 'fc00::1', 'fd12:3456::1',
  'fe80::1', 'fe80::1%lo', 'fec0::1', 'ff02::1', '3fff::1', 'localhost', '', '1.2.3',
])('W05 %s is not an address of the public internet', (address) => {
  expect(isPublicAddress(address)).toBe(false);
}); // prettier-ignore

test.each(['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::8a', '::ffff:8.8.8.8'])(
  'W05 %s is one',
  (address) => {
    expect(isPublicAddress(address)).toBe(true);
  },
);

test.each(['http://issuer.example', 'ftp://issuer.example', 'https://a:b@issuer.example', 'https://a@issuer.example', 'https://issuer.example/#x', 'no', '', 'file:///etc/passwd', 'https:'])(
  'W05 %s is no URL to fetch',
  (text) => {
    expect(unsafeUrlFault(text)).not.toBeNull();
  },
); // prettier-ignore

describe('against servers', () => {
  let server: OutsideServer;
  let target: OutsideServer;
  beforeAll(async () => {
    target = await startOutsideServer((_request, response) => response.end('{}'));
    server = await startOutsideServer(({ url = '' }, response) => {
      if (url === '/loopback') response.writeHead(302, { location: `${target.url}/` }).end();
      else if (url === '/metadata') response.writeHead(307, { location: 'http://169.254.169.254/' }).end();
      else if (url === '/large') response.end(Buffer.alloc(300 * 1024));
      else if (url === '/slow') response.write('{');
      else if (url === '/cut') {
        response.writeHead(200, { 'content-length': '100' });
        response.write('{', () => response.destroy());
      } else if (url === '/failed') response.writeHead(500).end('secret of the server');
      else response.setHeader('cache-control', 'max-age=7').end('{"a":1}');
    });
  });
  afterAll(async () => {
    await server.stop();
    await target.stop();
  });

  const get = (url: string, more: Partial<SafeGetOptions> = {}) =>
    safeGet(new URL(url), { ...options, caPem: server.caPem, networks: loopback, ...more });

  test('W05 a document is fetched from an opened network, with the certificate checked', async () => {
    const { body, cacheControl } = await get(`${server.url}/keys`);
    expect([body.toString(), cacheControl]).toEqual(['{"a":1}', 'max-age=7']);
    await expect(get(`${server.url}/keys`, { caPem: null })).rejects.toThrow(/the connection failed \(/);
    await expect(get(`${server.url}/keys`, { caPem: target.caPem })).rejects.toThrow(/the connection failed/);
  });

  test('W05 no form of a private address is connected to', async () => {
    const before = server.connections();
    const { port } = server;
    const forms = ['127.0.0.1', '0x7f000001', '2130706433', '017700000001', '127.1', '[::ffff:127.0.0.1]', '[::1]', '[64:ff9b::7f00:1]', 'localhost', 'LOCALHOST', '127.0.0.1.', '0', '[::]']; // prettier-ignore
    for (const form of forms)
      await expect(get(`https://${form}:${port}/`, { networks: [] })).rejects.toThrow(
        /not on the public internet|connection failed \(E(NOTFOUND|AI_AGAIN)\)/,
      );
    expect(server.connections()).toBe(before);
  });

  test('W05 a name that resolves to a public address first and to loopback afterwards is not connected to', async () => {
    const before = server.connections();
    const answers = ['93.184.215.14', '127.0.0.1'];
    let asked = 0;
    const rebinding = ((_name: string, _options: unknown, callback: (...results: unknown[]) => void) => {
      const address = answers[asked++] ?? '127.0.0.1';
      // The first answer is what a check ahead of the connection would see.
      callback(null, [{ address, family: 4 }]);
    }) as unknown as LookupFunction;
    rebinding('issuer.example', { all: true }, () => undefined);
    await expect(
      get(`https://issuer.example:${server.port}/`, { networks: [], lookup: rebinding }),
    ).rejects.toThrow('not on the public internet');
    expect(asked).toBe(2);
    expect(server.connections()).toBe(before);
  });

  test('W05 a name with a public and a private address is not connected to', async () => {
    const before = server.connections();
    const both = ((_name: string, _options: unknown, callback: (...results: unknown[]) => void) =>
      callback(null, [
        { address: '93.184.215.14', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ])) as unknown as LookupFunction;
    await expect(
      get(`https://issuer.example:${server.port}/`, { networks: [], lookup: both }),
    ).rejects.toThrow('not on the public internet');
    expect(server.connections()).toBe(before);
  });

  test('W05 the name is looked up once, and what was checked is what is connected to', async () => {
    let asked = 0;
    const once = ((_name: string, _options: unknown, callback: (...results: unknown[]) => void) => {
      asked += 1;
      callback(null, [{ address: '127.0.0.1', family: 4 }]);
    }) as unknown as LookupFunction;
    const { body } = await get(`https://issuer.example:${server.port}/keys`, { lookup: once });
    expect([body.toString(), asked]).toEqual(['{"a":1}', 1]);
  });

  test('W05 redirects are not followed', async () => {
    await expect(get(`${server.url}/loopback`)).rejects.toThrow('redirect (302)');
    await expect(get(`${server.url}/metadata`)).rejects.toThrow('redirect (307)');
    expect(target.connections()).toBe(0);
  });

  test('W05 time and size are bounded, and a refusal repeats nothing of the server', async () => {
    await expect(get(`${server.url}/large`)).rejects.toThrow('more than 256 KiB');
    await expect(get(`${server.url}/slow`, { limitMs: 200 })).rejects.toThrow('within 0.2 seconds');
    await expect(get(`${server.url}/cut`)).rejects.toThrow(/ended the connection|connection failed/);
    await expect(get(`${server.url}/failed`)).rejects.toThrow(/^the server answered with status 500$/);
  });

  test('W05 a server that accepts and never speaks ends at the time limit', async () => {
    const silent = createServer((socket) => void socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    await expect(get(`https://127.0.0.1:${port}/`, { limitMs: 200 })).rejects.toThrow('within 0.2 seconds');
    await new Promise((resolve) => silent.close(resolve));
  });
});
