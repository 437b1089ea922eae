import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { Agent as TlsAgent, get as getTls } from 'node:https';
import { connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { type ConnectionLimits, ConnectionSlots } from '../../src/net/connection-slots.ts';
import { HttpServer } from '../../src/http/http-server.ts';
import { ServerTls } from '../../src/net/tls/server-tls.ts';
import { createAuthority, writeIssued } from '../support/certificates.ts';
import { until } from '../support/wait-for.ts';

const SLOW_SOCKETS = 3_000;
const RECONNECT_AFTER_MS = 2_000;
const PROBES = 100;
const PROBE_LIMIT_MS = 1_000;

const folder = mkdtempSync(join(tmpdir(), 'postern-slow-'));
const authority = createAuthority('ours');
let tls: ServerTls;
beforeAll(async () => {
  const { cert, key } = writeIssued(folder, 'server', authority.issue({ dns: ['localhost'] }));
  tls = await ServerTls.open({ cert, key, ca: null }, () => undefined);
});
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => {
  tls.stop();
  rmSync(folder, { recursive: true });
});

interface Target {
  readonly port: number;
  readonly http: HttpServer;
}

async function listen(isSecure: boolean): Promise<Target> {
  const facts = {
    publication: null,
    unreadyReasons: () => [],
    verificationFaults: () => [],
    metrics: () => '',
  };
  const http = new HttpServer(facts, isSecure ? tls : null);
  const address = await http.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  cleanups.push(() => http.stop());
  return { port: address.kind === 'tcp' ? address.port : 0, http };
}

/** What the sockets of an attacker send, and whether each is opened again soon after it was closed. */
interface Attack {
  readonly sends: string;
  readonly reconnects: boolean;
}

async function attack({ port, http }: Target, { sends, reconnects }: Attack): Promise<void> {
  const sockets = new Set<Socket>();
  let going = true;
  const open = () => {
    if (!going) return;
    const socket = connect(port, '127.0.0.1', () => {
      if (sends !== '') socket.write(sends);
    });
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      if (reconnects) setTimeout(open, RECONNECT_AFTER_MS);
    });
    socket.resume();
  };
  cleanups.push(() => {
    going = false;
    for (const socket of sockets) socket.destroy();
  });
  for (let each = 0; each < SLOW_SOCKETS; each++) open();
  // The listener has accepted all of them; a thousand are still open.
  await until(() => http.closedConnections >= SLOW_SOCKETS - 1_000, 'all were accepted', 30_000);
}

/** The duration of a probe in ms, with a new connection unless an agent is given; Infinity without a response. */
function probe(port: number, isSecure: boolean, agent: Agent | false = false): Promise<number> {
  const startMs = performance.now();
  return new Promise((resolve) => {
    const options = { port, host: '127.0.0.1', path: '/livez', agent, ca: authority.cert };
    const request = (isSecure ? getTls : get)(options, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200 ? performance.now() - startMs : Infinity));
    });
    request.on('error', () => resolve(Infinity));
    request.setTimeout(5_000, () => request.destroy());
  });
}

test.each<[string, boolean, Attack]>([
  ['say nothing', false, { sends: '', reconnects: false }],
  ['send half a request', false, { sends: 'GET /livez HTTP/1.1\r\nhost: a\r\n', reconnects: false }],
  [
    'sent one request and stay open',
    false,
    { sends: 'GET /livez HTTP/1.1\r\nhost: a\r\n\r\n', reconnects: false },
  ],
  ['reconnect when they are closed', false, { sends: '', reconnects: true }],
  ['do not start the TLS handshake', true, { sends: '', reconnects: false }],
])(
  'N04 probes are answered while 3,000 sockets of this machine %s',
  async (_what, isSecure, slow) => {
    const target = await listen(isSecure);
    await attack(target, slow);
    const tookMs: number[] = [];
    for (let each = 0; each < PROBES; each++) tookMs.push(await probe(target.port, isSecure));
    expect(tookMs.filter((ms) => ms > PROBE_LIMIT_MS)).toEqual([]);
  },
  60_000,
);

test.each([
  ['plaintext', false],
  ['TLS', true],
])('N04 a %s connection that was served is kept while silent ones are closed', async (_name, isSecure) => {
  const target = await listen(isSecure);
  const agent = new (isSecure ? TlsAgent : Agent)({ keepAlive: true, maxSockets: 1 });
  cleanups.push(() => agent.destroy());
  expect(await probe(target.port, isSecure, agent)).toBeLessThan(Infinity);
  const held = () => Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);
  await until(() => held().length === 1, 'the connection is kept');
  const before = held();
  await attack(target, { sends: '', reconnects: false });
  expect(await probe(target.port, isSecure, agent)).toBeLessThan(Infinity);
  await until(() => held().length === 1, 'the connection is kept again');
  expect(held()[0] === before[0]).toBe(true);
});

describe('connection slots', () => {
  const addressOf = ({ remoteAddress = '' }: Socket) =>
    remoteAddress === '127.0.0.1' ? null : remoteAddress;

  /** Slots on a fake listener, and fake sockets without a peer. */
  function newSlots(limits: ConnectionLimits, evictsServed: boolean) {
    const slots = new ConnectionSlots(limits, addressOf, { evictsServed });
    let admit: (socket: Socket) => void = () => undefined;
    const listener = {
      address: () => ({ address: '127.0.0.1', family: 'IPv4', port: 1 }),
      prependListener: (_event: string, listener: (socket: Socket) => void) => (admit = listener),
    };
    slots.install(listener as unknown as Server);
    let remotePort = 0;
    const open = (remoteAddress: string) => {
      remotePort += 1;
      const closed: (() => void)[] = [];
      const socket = {
        remoteAddress,
        remotePort,
        localAddress: '127.0.0.1',
        localPort: 1,
        destroyed: false,
        once: (_event: string, listener: () => void) => closed.push(listener),
        destroy() {
          this.destroyed = true;
          for (const listener of closed.splice(0)) listener();
        },
      };
      admit(socket as unknown as Socket);
      return socket as unknown as Socket;
    };
    return { slots, open };
  }

  const isOpen = (sockets: readonly Socket[]) => sockets.map(({ destroyed }) => !destroyed);

  test('N04 one address has a share, and beyond it its own oldest silent connection is closed', () => {
    const { slots: all, open } = newSlots({ max: 8, maxPerAddress: 2 }, true);
    const [one, two] = [open('192.0.2.1'), open('192.0.2.1')];
    const others = [open('192.0.2.2'), open('192.0.2.3')];
    all.served(one);
    const three = open('192.0.2.1');
    expect(isOpen([one, two, three, ...others])).toEqual([true, false, true, true, true]);
    // This limit does not apply to this machine and trusted proxies.
    const local = Array.from({ length: 4 }, () => open('127.0.0.1'));
    expect(isOpen([one, three, ...others, ...local])).toEqual(Array.from({ length: 8 }, () => true));
    expect(all.closed).toBe(1);
  });

  test('N04 silent connections are closed first, then the one served longest ago, or none', () => {
    const { slots: all, open } = newSlots({ max: 4, maxPerAddress: 4 }, true);
    const sockets = Array.from({ length: 4 }, () => open('127.0.0.1'));
    for (const index of [0, 1, 0]) all.served(sockets[index] as Socket);
    const next = [open('127.0.0.1')];
    expect(isOpen(sockets)).toEqual([true, true, false, true]);
    // The newest quarter is kept while others were served.
    all.served(next[0] as Socket);
    next.push(open('127.0.0.1'));
    expect(isOpen([...sockets, ...next])).toEqual([true, false, false, true, true, true]);
    next.push(open('127.0.0.1'));
    expect(isOpen([...sockets, ...next])).toEqual([true, false, false, false, true, true, true]);

    const strict = newSlots({ max: 2, maxPerAddress: 2 }, false);
    const served = [strict.open('127.0.0.1'), strict.open('127.0.0.1')];
    for (const socket of served) strict.slots.served(socket);
    expect(isOpen([...served, strict.open('127.0.0.1')])).toEqual([true, true, false]);
    served[0]?.destroy();
    expect(isOpen([strict.open('127.0.0.1')])).toEqual([true]);
  });
});
