import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

import { expect, test } from '@jest/globals';

import { ConnectionSlots } from '../../src/net/connection-slots.ts';

test('H07 a connection with a call in progress does not give way to a new one', async () => {
  const slots = new ConnectionSlots({ max: 2, maxPerAddress: 2 }, () => null, { evictsServed: true });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  slots.install(server);
  const clients: Socket[] = [];
  const open = async () => {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.on('error', () => undefined);
    clients.push(client);
    return (await accepted)[0];
  };
  try {
    const running = await open();
    // Two requests at once; the first is answered.
    slots.called(running);
    slots.called(running);
    slots.served(running);
    const idle = await open();
    slots.served(idle);
    const third = await open();
    expect([running.destroyed, idle.destroyed, slots.closed]).toEqual([false, true, 1]);
    slots.served(running);
    slots.served(third);
    await open();
    expect([running.destroyed, slots.closed]).toEqual([true, 2]);
  } finally {
    for (const client of clients) client.destroy();
    server.close();
  }
});
