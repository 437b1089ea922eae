import { constants, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';

import type { Server } from '@grpc/grpc-js';

import { http2ServersOf } from './http2-servers.ts';
import { MAX_HEADER_LIST_BYTES } from './limits.ts';
import { Tally } from './tally.ts';

export interface ConnectionLimits {
  /** Connections at once. */
  readonly most: number;
  /** Of these, from one address. */
  readonly mostPerAddress: number;
}

/** PING and SETTINGS frames cost their sender nothing; no client sends as many for its own good. */
const CONTROL_FRAMES_PER_WINDOW = 500;
const WINDOW_MS = 60_000;

/**
 * Limits what grpc-js leaves open: how many connections there are, how many one address has, and how many control
 * frames one connection sends. What is over a limit is closed at once, and the others go on. nghttp2 itself ends
 * connections for rapid resets, CONTINUATION floods and broken frames.
 *
 * @param addressOf whose connection it is; null for those that are not told apart (loopback, a trusted proxy)
 */
export function guardConnections(
  server: Server,
  limits: ConnectionLimits,
  addressOf: (socket: Socket) => string | null,
): void {
  const perAddress = new Tally<string>();
  for (const http2Server of http2ServersOf(server)) {
    http2Server.maxConnections = limits.most;
    http2Server.updateSettings({ maxHeaderListSize: MAX_HEADER_LIST_BYTES });
    // Before the listener that makes a session of it.
    http2Server.prependListener('connection', (socket: Socket) => {
      const address = addressOf(socket);
      if (address === null) return;
      perAddress.add(address);
      socket.once('close', () => perAddress.subtract(address));
      if (perAddress.of(address) > limits.mostPerAddress) socket.destroy();
    });
    http2Server.on('session', endWhenFlooded);
  }
}

function endWhenFlooded(session: ServerHttp2Session): void {
  let windowStartMs = performance.now();
  let frames = 0;
  const count = () => {
    const nowMs = performance.now();
    if (nowMs - windowStartMs > WINDOW_MS) {
      windowStartMs = nowMs;
      frames = 0;
    }
    frames += 1;
    if (frames > CONTROL_FRAMES_PER_WINDOW && !session.destroyed)
      session.destroy(new Error('too many control frames'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  };
  session.on('ping', count);
  session.on('remoteSettings', count);
}
