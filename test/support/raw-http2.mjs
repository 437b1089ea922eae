// HTTP/2 frames written by hand, so that a connection can violate the protocol as no client library does. An attack
// is a few lines of these (test/soak/http2-attacks.mjs).
import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { clearTimeout, setTimeout } from 'node:timers';

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
};
export const flag = { ack: 1, endStream: 1, endHeaders: 4 };
export const setting = { maxConcurrentStreams: 3, initialWindow: 4, maxHeaderListSize: 6 };

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const FRAME_HEAD = 9;

/** One frame; its length field is correct unless `length` overrides it. */
export function frame(type, flags, stream, payload = Buffer.alloc(0), length = payload.length) {
  const head = Buffer.alloc(FRAME_HEAD);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/**
 * The simplest HPACK: every field is a literal with a new name, never indexed (RFC 7541, 6.2.3). A field with a list is
 * sent once for each value.
 */
export function headerBlock(fields) {
  const lines = Object.entries(fields).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  return Buffer.concat(
    lines.map(([name, value]) => Buffer.concat([Buffer.of(0x10), text(name), text(value)])),
  );
}

function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([integer(bytes.length, 7), bytes]);
}

/** RFC 7541, 5.1 */
function integer(value, bits) {
  const max = 2 ** bits - 1;
  if (value < max) return Buffer.of(value);
  const bytes = [max];
  let rest = value - max;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** The header fields of a call to a method, `/package.Service/Method`. */
export function callFields(path, more = {}) {
  return {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...more,
  };
}

export function headers(stream, fields, flags = flag.endHeaders) {
  return frame(frameType.headers, flags, stream, headerBlock(fields));
}

/** @param compressed the compressed flag of the gRPC message prefix */
export function message(stream, bytes = Buffer.alloc(0), compressed = 0, flags = flag.endStream) {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed);
  head.writeUInt32BE(bytes.length, 1);
  return frame(frameType.data, flags, stream, Buffer.concat([head, bytes]));
}

export function reset(stream, code = 8) {
  return frame(frameType.reset, 0, stream, uint32(code));
}

/** @param values pairs of the number and the value of a setting */
export function settings(values = []) {
  return frame(
    frameType.settings,
    0,
    0,
    Buffer.concat(values.map(([id, value]) => Buffer.concat([Buffer.of(id >> 8, id & 255), uint32(value)]))),
  );
}

const settingsAck = frame(frameType.settings, flag.ack, 0);

export function windowUpdate(stream, increment) {
  return frame(frameType.windowUpdate, 0, stream, uint32(increment));
}

function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A connection that sends only what the attack sends. */
export class RawHttp2 {
  /** The frames that the server has sent: `type`, `flags`, `stream`, `payload`. */
  frames = [];
  /** Whether to acknowledge SETTINGS and PING of the server; an attack may omit that. */
  answers = true;
  ended = false;
  #socket;
  #rest = Buffer.alloc(0);
  #closed;
  #onFrame = () => undefined;

  /** @param address `host:port` */
  static async open(address, { preface = true } = {}) {
    const split = address.lastIndexOf(':');
    const socket = connect(Number(address.slice(split + 1)), address.slice(0, split));
    const raw = new RawHttp2(socket);
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    if (preface) raw.send(PREFACE, settings());
    return raw;
  }

  constructor(socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => this.#read(bytes));
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.ended = true;
        this.#onFrame();
        resolve();
      });
    });
  }

  send(...frames) {
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(frames));
  }

  /** Sends, and waits until the system has accepted it, so that the attacker does not fill its own memory. */
  async flush(...frames) {
    if (this.#socket.destroyed || this.#socket.write(Buffer.concat(frames))) return;
    await new Promise((resolve) => {
      const done = () => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
  }

  /** Stops reading what the server sends. */
  stopReading() {
    this.#socket.pause();
  }

  readAgain() {
    this.#socket.resume();
  }

  /** Resolves with the first matching frame, earlier ones included; null at the end of the connection or at the timeout. */
  async next(fits, limitMs = 60_000) {
    let timer;
    const found = await new Promise((resolve) => {
      timer = setTimeout(resolve, limitMs, null);
      this.#onFrame = () => {
        const frame = this.frames.find(fits);
        if (frame || this.ended) resolve(frame ?? null);
      };
      this.#onFrame();
    });
    clearTimeout(timer);
    this.#onFrame = () => undefined;
    return found;
  }

  /** The code of the server's GOAWAY; null when it sent none. */
  get goaway() {
    const found = this.frames.find(({ type }) => type === frameType.goaway);
    return found ? found.payload.readUInt32BE(4) : null;
  }

  /** Whether the server ended the connection in time. */
  async closed(limitMs = 60_000) {
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, limitMs)));
    await Promise.race([this.#closed, late]);
    clearTimeout(timer);
    return this.ended;
  }

  /** Half-closes the connection, as a sender that was cut off. */
  half() {
    this.#socket.end();
  }

  destroy() {
    this.#socket.destroy();
  }

  #read(bytes) {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      if (this.#rest.length < FRAME_HEAD) break;
      const end = FRAME_HEAD + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) break;
      const type = this.#rest.readUInt8(3);
      const flags = this.#rest.readUInt8(4);
      const stream = this.#rest.readUInt32BE(5) & 0x7fffffff;
      const payload = this.#rest.subarray(FRAME_HEAD, end);
      this.#rest = this.#rest.subarray(end);
      const isAck = (type === frameType.settings || type === frameType.ping) && (flags & flag.ack) !== 0;
      if (this.answers && !isAck && type === frameType.settings) this.send(settingsAck);
      if (this.answers && !isAck && type === frameType.ping)
        this.send(frame(frameType.ping, flag.ack, 0, payload));
      // The acknowledgements of a flood are not kept.
      if (!isAck && this.frames.length < 10_000) this.frames.push({ type, flags, stream, payload });
    }
    this.#onFrame();
  }
}
