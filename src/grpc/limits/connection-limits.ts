import { constants, type ServerHttp2Session } from 'node:http2';

import type { Server } from '@grpc/grpc-js';

import type { ConnectionSlots } from '../../net/connection-slots.ts';
import { http2ServersOf } from '../grpc-js-internals.ts';
import { MAX_HEADER_LIST_BYTES } from './limits.ts';

/**
 * PING and SETTINGS frames of one connection in `WINDOW_MS`. They cost their sender nothing; no client needs as many.
 */
const CONTROL_FRAMES_PER_WINDOW = 500;
const WINDOW_MS = 60_000;

/**
 * Adds limits that grpc-js does not have: the number of connections, of connections from one address, and of control
 * frames from one connection. A connection over a limit is closed at once; the others continue. nghttp2 itself ends
 * connections for rapid resets, CONTINUATION floods and malformed frames.
 */
export function guardConnections(server: Server, slots: ConnectionSlots): void {
  for (const http2Server of http2ServersOf(server)) {
    http2Server.updateSettings({ maxHeaderListSize: MAX_HEADER_LIST_BYTES });
    slots.install(http2Server);
    http2Server.on('session', (session) => {
      session.once('stream', () => slots.served(session.socket));
      limitControlFrames(session);
    });
  }
}

function limitControlFrames(session: ServerHttp2Session): void {
  let windowStartMs = performance.now();
  let frames = 0;
  const countFrame = () => {
    const nowMs = performance.now();
    if (nowMs - windowStartMs > WINDOW_MS) {
      windowStartMs = nowMs;
      frames = 0;
    }
    frames += 1;
    if (frames > CONTROL_FRAMES_PER_WINDOW && !session.destroyed)
      session.destroy(new Error('too many control frames'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  };
  session.on('ping', countFrame);
  session.on('remoteSettings', countFrame);
}
