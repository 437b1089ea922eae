import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';

import { ChannelzListener } from '../../src/compose/channelz.ts';
import { AuthServiceService } from '../../src/generated/postern/v1/auth.ts';
import { Rejected } from '../../src/domain/rejection.ts';
import { type ListenerOptions, startBareListener } from '../support/bare-listener.ts';
import { channelz, type ChannelzAnswer } from '../support/channelz.ts';
import { until } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-channelz-'));
const path = join(folder, 'channelz.sock');
const secret = 'a-token-that-nobody-else-may-see';
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** VerifyToken alone, which takes the fast path: it accepts the tokens that begin with `a`. */
const verifyToken: ListenerOptions['services'] = (add) =>
  add(
    { verifyToken: AuthServiceService.verifyToken },
    {
      verifyToken: ({ accessToken }) => {
        if (!accessToken.startsWith('a')) throw new Rejected({ kind: 'not-found', resource: 'token' });
        return AuthServiceService.verifyToken.responseDeserialize(Buffer.alloc(0));
      },
    },
  );

/** The listener of channelz, and one that it shows. */
async function start(options: Partial<ListenerOptions> = {}) {
  const listener = new ChannelzListener(
    { channelzListen: { kind: 'unix', path }, socketAccess: { mode: 0o660, group: null } },
    { health: { processReady: [''], verificationReady: [] }, onFinish: () => undefined },
  );
  await listener.listen();
  cleanups.push(() => listener.stop());
  const shown = await startBareListener({ services: verifyToken, channelz: listener.ofOthers, ...options });
  cleanups.push(() => shown.stop());
  const client = new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure());
  cleanups.push(() => client.close());
  return { listener, shown, ask: (method: string, request?: object) => channelz(client, method, request) };
}

async function only(ask: (method: string) => Promise<ChannelzAnswer>) {
  const { server = [] } = (await ask('GetServers')).response ?? {};
  expect(server).toHaveLength(1);
  const [found] = server;
  if (!found) throw new Error('there is no server');
  return found;
}

test('R45 servers and connections are shown with the calls of the fast path and of grpc-js, and nothing of a call', async () => {
  const { shown, ask } = await start();
  const client = new grpc.Client(shown.address, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  cleanups.push(() => client.close());
  const { path: method, requestSerialize, responseDeserialize } = AuthServiceService.verifyToken;
  const call = (accessToken: string) =>
    new Promise<grpc.status>((resolve) => {
      const metadata = new grpc.Metadata();
      metadata.set('authorization', `Bearer ${secret}`);
      const request = { ...AuthServiceService.verifyToken.requestDeserialize(Buffer.alloc(0)), accessToken };
      client.makeUnaryRequest(method, requestSerialize, responseDeserialize, request, metadata, (error) =>
        resolve(error?.code ?? grpc.status.OK),
      );
    });
  expect(await call(secret)).toBe(grpc.status.OK);
  expect(await call('b')).toBe(grpc.status.NOT_FOUND);
  // Health goes through grpc-js.
  const health = new Promise<unknown>((resolve) =>
    client.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      () => Buffer.alloc(0),
      (bytes) => bytes,
      {},
      (error) => resolve(error),
    ),
  );
  expect(await health).toBeNull();

  await until(async () => (await only(ask)).data['calls_started'] === '3', 'three calls counted');
  const server = await only(ask);
  expect(server.data).toMatchObject({ calls_started: '3', calls_succeeded: '2', calls_failed: '1' });
  expect(server.listen_socket.map(({ name }) => name)).toEqual([shown.address]);
  const { server_id } = server.ref;
  const sockets = await ask('GetServerSockets', { server_id });
  expect(sockets.response?.socket_ref).toHaveLength(1);
  const [{ socket_id } = { socket_id: '' }] = sockets.response?.socket_ref ?? [];
  const socket = await ask('GetSocket', { socket_id });
  expect(socket.response?.socket).toMatchObject({
    remote: { tcpip_address: { ip_address: Buffer.from([127, 0, 0, 1]) } },
    data: {
      streams_started: '3',
      streams_succeeded: '2',
      streams_failed: '1',
      messages_sent: '2',
      messages_received: '3',
    },
  });
  const answers = [
    server,
    sockets,
    socket,
    await ask('GetServer', { server_id }),
    await ask('GetTopChannels'),
  ];
  expect(JSON.stringify(answers)).not.toContain(secret);
});

test('R46 only the socket of channelz serves it, and it ends with the process', async () => {
  const { listener, shown } = await start();
  const client = new grpc.Client(shown.address, grpc.credentials.createInsecure());
  cleanups.push(() => client.close());
  expect(await channelz(client, 'GetServers')).toMatchObject({ code: grpc.status.UNIMPLEMENTED });
  expect(statSync(path).mode & 0o777).toBe(0o660);
  await listener.stop();
  expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
});

test('R46 without the setting there is no listener, and no other is shown', async () => {
  await start();
  const off = new ChannelzListener(
    { channelzListen: null, socketAccess: { mode: 0o600, group: null } },
    { health: { processReady: [], verificationReady: [] }, onFinish: () => undefined },
  );
  await off.listen();
  expect(off.ofOthers).toBeUndefined();
  await off.stop();
});

describe('R46 what channelz does not have', () => {
  test.each([
    ['GetServer', { server_id: 1e9 }],
    ['GetSocket', { socket_id: 1e9 }],
    ['GetChannel', { channel_id: 1e9 }],
    ['GetSubchannel', { subchannel_id: 1e9 }],
    ['GetServerSockets', { server_id: 1e9 }],
  ])('%s is NOT_FOUND', async (method, request) => {
    const { ask } = await start();
    expect(await ask(method, request)).toMatchObject({ code: grpc.status.NOT_FOUND });
  });

  // grpc-js throws when it is asked for such a connection, which would end the process.
  test('a connection that was closed here, and by its peer not yet, is NOT_FOUND', async () => {
    const { shown, ask } = await start({ limits: { connection: { 'grpc.max_connection_age_ms': 300 } } });
    const peer = await halfOpen(shown.address);
    cleanups.push(() => peer.destroy());
    const { server_id } = (await only(ask)).ref;
    let socket_id: string | undefined;
    await until(async () => {
      const { socket_ref = [] } = (await ask('GetServerSockets', { server_id })).response ?? {};
      socket_id = socket_ref[0]?.socket_id;
      return socket_id !== undefined;
    }, 'the connection is listed');
    expect(await ask('GetSocket', { socket_id })).toMatchObject({ code: grpc.status.OK });
    await until(
      async () => (await ask('GetSocket', { socket_id })).code === grpc.status.NOT_FOUND,
      'the connection is closed here',
    );
    const listed = await ask('GetServerSockets', { server_id });
    expect(listed.response?.socket_ref).toMatchObject([{ socket_id }]);
  });
});

/** An HTTP/2 connection whose client does not close its side when the server does. */
function halfOpen(address: string): Promise<Socket> {
  const [host = '', port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port), allowHalfOpen: true }, () => {
      const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
      socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings]));
      resolve(socket);
    });
    socket.resume();
    socket.on('error', () => undefined);
  });
}
