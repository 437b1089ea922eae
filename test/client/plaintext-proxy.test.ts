import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createAuthClient, createVerifier } from '../../src/client/postern-client.ts';

const VARIABLES = ['grpc_proxy', 'https_proxy', 'http_proxy', 'no_proxy', 'no_grpc_proxy'];
const before = VARIABLES.map((name) => [name, process.env[name]] as const);
let service: CountingServer;
let proxy: CountingServer;

/** Ends every connection, and counts them. */
interface CountingServer {
  readonly server: Server;
  readonly address: string;
  connections: number;
}

async function listen(): Promise<CountingServer> {
  const server = createServer((socket) => {
    counting.connections++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const counting = { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}`, connections: 0 };
  return counting;
}

beforeAll(async () => {
  [service, proxy] = [await listen(), await listen()];
  for (const name of VARIABLES) Reflect.deleteProperty(process.env, name);
  process.env['http_proxy'] = `http://${proxy.address}`;
});
afterAll(() => {
  for (const [name, value] of before) {
    Reflect.deleteProperty(process.env, name);
    if (value !== undefined) process.env[name] = value;
  }
  service.server.close();
  proxy.server.close();
});

test('N10 a plaintext connection does not go through the proxy of the environment', async () => {
  const options = { address: service.address };
  const client = createAuthClient({
    ...options,
    deadlineMs: 5_000,
    retry: { attempts: 1, firstPauseMs: 0, longestPauseMs: 0 },
  });
  await expect(client.login({ email: 'ann@example.com', password: 'a password' })).rejects.toThrow();
  client.close();
  expect([service.connections > 0, proxy.connections]).toEqual([true, 0]);

  service.connections = 0;
  const verifier = createVerifier({ trust: { upstream: options } });
  await once(service.server, 'connection');
  verifier.close();
  expect(proxy.connections).toBe(0);
});
