// Attacks on the gRPC port, one row each. `run` gets `open`, which gives a connection (test/support/raw-http2.mjs) and
// closes it after the attack, the address, and the scale of the attack (1 for a short round).
import { Buffer } from 'node:buffer';
import { setImmediate } from 'node:timers';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import {
  callFields,
  flag,
  frame,
  frameType,
  headerBlock,
  headers,
  message,
  reset,
  setting,
  settings,
  windowUpdate,
} from '../support/raw-http2.mjs';

const LOGIN = '/postern.v1.AuthService/Login';
const VERIFY = '/postern.v1.AuthService/VerifyToken';
const JWKS = '/postern.v1.AuthService/GetJwks';
const ping = frame(frameType.ping, 0, 0, Buffer.alloc(8));
const gzip = { 'grpc-encoding': 'gzip' };
const oddFrom = (first, count) => Array.from({ length: count }, (_, index) => first + 2 * index);

/** Repeats the same frames until the server closes the connection. @returns the connection */
async function flood(connection, chunk, times) {
  for (let time = 0; time < times && !connection.ended; time++) {
    await connection.flush(chunk);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return connection;
}

const repeated = (count, part) => Buffer.concat(Array.from({ length: count }, () => part));

/**
 * `ends`: whether the server must end the connection by itself; `false` where the frames are within the rules of
 * HTTP/2 and only cause useless work.
 */
export const attacks = [
  {
    name: 'rapid reset',
    ends: true,
    async run({ open, scale }) {
      const connection = await open();
      for (let round = 0; round < 40 * scale && !connection.ended; round++) {
        const streams = oddFrom(1 + 200 * round, 100);
        const frames = streams.flatMap((stream) => [headers(stream, callFields(VERIFY)), reset(stream)]);
        await connection.flush(...frames);
      }
      return connection;
    },
  },
  {
    name: 'resets provoked by bad frames',
    ends: true,
    async run({ open, scale }) {
      const connection = await open();
      for (let round = 0; round < 40 * scale && !connection.ended; round++) {
        const streams = oddFrom(1 + 200 * round, 100);
        // A window of 2^31 or more makes the server reset the stream itself ("made you reset").
        const frames = streams.flatMap((stream) => [
          headers(stream, callFields(VERIFY)),
          windowUpdate(stream, 0x7fffffff),
        ]);
        await connection.flush(...frames);
        await new Promise((resolve) => setImmediate(resolve));
      }
      return connection;
    },
  },
  {
    name: 'CONTINUATION without end',
    ends: true,
    async run({ open, scale }) {
      const connection = await open();
      connection.send(headers(1, callFields(VERIFY), 0));
      const part = frame(frameType.continuation, 0, 1, headerBlock({ 'x-more': 'a'.repeat(1_000) }));
      return flood(connection, repeated(100, part), 100 * scale);
    },
  },
  {
    name: 'empty CONTINUATION without end',
    ends: true,
    async run({ open, scale }) {
      const connection = await open();
      connection.send(headers(1, callFields(VERIFY), 0));
      return flood(connection, repeated(1_000, frame(frameType.continuation, 0, 1)), 100 * scale);
    },
  },
  {
    name: 'SETTINGS flood',
    ends: true,
    async run({ open, scale }) {
      const connection = await open();
      return flood(connection, repeated(1_000, settings([[setting.initialWindow, 65_535]])), 200 * scale);
    },
  },
  {
    name: 'SETTINGS flood, acknowledgements unread',
    ends: true,
    async run({ open, scale }) {
      const connection = await open();
      connection.stopReading();
      await flood(connection, repeated(1_000, settings()), 200 * scale);
      // Whoever does not read does not see the end either.
      connection.readAgain();
      return connection;
    },
  },
  {
    name: 'PING flood',
    ends: true,
    run: async ({ open, scale }) => flood(await open(), repeated(1_000, ping), 200 * scale),
  },
  {
    name: 'PING flood, answers unread',
    ends: true,
    async run({ open, scale }) {
      const connection = await open();
      connection.stopReading();
      await flood(connection, repeated(1_000, ping), 200 * scale);
      // Whoever does not read does not see the end either.
      connection.readAgain();
      return connection;
    },
  },
  ...[
    ['PING', ping],
    ['SETTINGS', settings()],
  ].map(([name, part]) => ({
    name: `${name} frames at a pace that the server can answer`,
    ends: true,
    async run({ open, scale }) {
      const connection = await open();
      for (let round = 0; round < 12 * scale && !connection.ended; round++) {
        await connection.flush(repeated(50, part));
        await pause(5);
      }
      return connection;
    },
  })),
  {
    name: 'WINDOW_UPDATE past the largest window',
    ends: true,
    async run({ open }) {
      const connection = await open();
      connection.send(windowUpdate(0, 0x7fffffff), windowUpdate(0, 0x7fffffff));
      return connection;
    },
  },
  {
    name: 'WINDOW_UPDATE by nothing',
    ends: true,
    async run({ open }) {
      const connection = await open();
      connection.send(windowUpdate(0, 0));
      return connection;
    },
  },
  {
    name: 'WINDOW_UPDATE flood',
    ends: false,
    run: async ({ open, scale }) => flood(await open(), repeated(1_000, windowUpdate(1, 1)), 50 * scale),
  },
  {
    name: 'PRIORITY flood',
    ends: false,
    async run({ open, scale }) {
      const priority = frame(frameType.priority, 0, 1, Buffer.from([0, 0, 0, 0, 1]));
      return flood(await open(), repeated(1_000, priority), 50 * scale);
    },
  },
  {
    name: 'empty DATA flood',
    ends: false,
    async run({ open, scale }) {
      const connection = await open();
      connection.send(headers(1, callFields(VERIFY)));
      return flood(connection, repeated(1_000, frame(frameType.data, 0, 1)), 50 * scale);
    },
  },
  {
    name: 'bad HPACK: an index that is not there',
    ends: true,
    async run({ open }) {
      const connection = await open();
      connection.send(frame(frameType.headers, flag.endHeaders, 1, Buffer.from([0xff, 0xff, 0xff, 0x7f])));
      return connection;
    },
  },
  {
    name: 'bad HPACK: a string cut short',
    ends: true,
    async run({ open }) {
      const connection = await open();
      connection.send(frame(frameType.headers, flag.endHeaders, 1, Buffer.from([0x10, 0x7f, 0x61])));
      return connection;
    },
  },
  {
    name: 'bad HPACK: a table larger than allowed',
    ends: true,
    async run({ open }) {
      const connection = await open();
      connection.send(
        frame(frameType.headers, flag.endHeaders, 1, Buffer.from([0x3f, 0xff, 0xff, 0xff, 0x7f])),
      );
      return connection;
    },
  },
  {
    name: 'HPACK bomb: one large field, indexed a thousand times',
    ends: false,
    async run({ open, scale }) {
      const connection = await open();
      const large = Buffer.concat([
        Buffer.from([0x40, 1, 0x78, 0x7f, 0x81, 0x1e]),
        Buffer.alloc(4_000, 0x61),
      ]);
      for (const stream of oddFrom(1, 100 * scale)) {
        const rest = [
          headerBlock(callFields(VERIFY)),
          ...(stream === 1 ? [large] : []),
          Buffer.alloc(1_000, 0xbe),
        ];
        await connection.flush(frame(frameType.headers, flag.endHeaders, stream, Buffer.concat(rest)));
      }
      return connection;
    },
  },
  {
    name: 'a frame larger than allowed',
    ends: true,
    async run({ open }) {
      const connection = await open();
      connection.send(frame(frameType.data, 0, 1, Buffer.alloc(100), 0xffffff));
      return connection;
    },
  },
  {
    name: 'frames cut short',
    ends: true,
    async run({ open }) {
      const connection = await open();
      const whole = headers(1, callFields(VERIFY));
      connection.send(whole.subarray(0, whole.length - 7));
      connection.half();
      return connection;
    },
  },
  {
    name: 'HEADERS on a stream of the server, PUSH_PROMISE, unknown types',
    ends: true,
    async run({ open }) {
      const connection = await open();
      connection.send(frame(0xfa, 0xff, 3, Buffer.alloc(64, 0xff)), headers(2, callFields(VERIFY)));
      connection.send(frame(frameType.push, flag.endHeaders, 1, Buffer.alloc(4)));
      return connection;
    },
  },
  ...[
    ['HTTP/1.1', 'GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n'],
    ['an upgrade from HTTP/1.1', 'GET / HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n'],
    ['a TLS hello', '\u0016\u0003\u0001\u0000\u00c4\u0001'],
    ['a PROXY header', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'],
  ].map(([name, text]) => ({
    name: `${name} where HTTP/2 is spoken`,
    ends: true,
    async run({ open }) {
      const connection = await open({ preface: false });
      connection.send(Buffer.from(text, 'latin1'));
      return connection;
    },
  })),
  {
    name: 'gzip bombs',
    ends: false,
    async run({ open, scale }) {
      const connection = await open();
      // The largest frame that is allowed holds 16 MiB of zeros.
      const bomb = gzipSync(Buffer.alloc(16_000_000));
      for (const stream of oddFrom(1, 20 * scale)) {
        await connection.flush(headers(stream, callFields(LOGIN, gzip)), message(stream, bomb, 1));
        await connection.next((seen) => seen.stream === stream);
      }
      return connection;
    },
  },
  {
    name: 'many small compressed messages of junk',
    ends: false,
    async run({ open, scale }) {
      const connection = await open();
      for (let round = 0; round < 20 * scale && !connection.ended; round++) {
        const streams = oddFrom(1 + 200 * round, 100);
        const frames = streams.flatMap((stream) => [
          headers(stream, callFields(LOGIN, gzip)),
          message(stream, Buffer.from('no gzip at all'), 1),
        ]);
        await connection.flush(...frames);
        await connection.next((seen) => seen.stream === streams.at(-1));
      }
      return connection;
    },
  },
  {
    name: 'a message that announces four gigabytes',
    ends: false,
    async run({ open }) {
      const connection = await open();
      const head = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
      connection.send(headers(1, callFields(LOGIN)), frame(frameType.data, 0, 1, head));
      await connection.next((seen) => seen.stream === 1);
      return connection;
    },
  },
  {
    name: 'answers that nobody reads (window 0)',
    ends: false,
    async run({ open, scale }) {
      const connection = await open({ preface: true });
      connection.send(settings([[setting.initialWindow, 0]]));
      for (const stream of oddFrom(1, 2_000 * scale))
        await connection.flush(headers(stream, callFields(JWKS)), message(stream));
      return connection;
    },
  },
  {
    name: 'a connection that reads nothing',
    ends: false,
    async run({ open, scale }) {
      const connection = await open();
      connection.stopReading();
      for (const stream of oddFrom(1, 5_000 * scale)) {
        if (connection.ended) break;
        connection.send(headers(stream, callFields(JWKS)), message(stream));
        if (stream % 200 === 1) await new Promise((resolve) => setImmediate(resolve));
      }
      return connection;
    },
  },
  {
    name: 'calls opened and never sent',
    ends: false,
    async run({ open, scale }) {
      let connection = await open();
      for (let each = 0; each < 4 * scale; each++) {
        connection = await open();
        await connection.flush(...oddFrom(1, 256).map((stream) => headers(stream, callFields(LOGIN))));
      }
      return connection;
    },
  },
  {
    name: 'more streams than allowed',
    ends: false,
    async run({ open, scale }) {
      const connection = await open();
      for (const stream of oddFrom(1, 2_000 * scale)) {
        if (connection.ended) break;
        await connection.flush(headers(stream, callFields(LOGIN)));
      }
      return connection;
    },
  },
  {
    name: 'headers without end, a byte at a time',
    ends: false,
    async run({ open }) {
      const connection = await open();
      const slow = frame(frameType.headers, 0, 1, headerBlock(callFields(VERIFY)), 16_000);
      for (const byte of slow) await connection.flush(Buffer.of(byte));
      return connection;
    },
  },
  {
    name: 'idle connections',
    ends: false,
    async run({ open, scale }) {
      let last;
      for (let count = 0; count < 500 * scale; count += 50)
        [last] = await Promise.all(Array.from({ length: 50 }, () => open()));
      return last;
    },
  },
];
