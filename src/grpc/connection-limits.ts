import { constants, type ServerHttp2Session } from 'node:http2';

import type { Server } from '@grpc/grpc-js';

import type { ConnectionSlots } from '../net/connection-slots.ts';
import { http2ServersOf } from './grpc-js-internals.ts';
import { MAX_HEADER_LIST_BYTES } from './limits.ts';

/** PING and SETTINGS frames cost their sender nothing; no client sends as many for its own good. */
const CONTROL_FRAMES_PER_WINDOW = 500;
const WINDOW_MS = 60_000;

/**
 * Limits what grpc-js leaves open: how many connections there are, how many one address has, and how many control
 * frames one connection sends. What is over a limit is closed at once, and the others go on. nghttp2 itself ends
 * connections for rapid resets, CONTINUATION floods and broken frames.
 */
export function guardConnections(server: Server, slots: ConnectionSlots): void {
  for (const http2Server of http2ServersOf(server)) {
    http2Server.updateSettings({ maxHeaderListSize: MAX_HEADER_LIST_BYTES });
    slots.install(http2Server);
    http2Server.on('session', (session) => {
      session.once('stream', () => slots.served(session.socket));
      endWhenFlooded(session);
    });
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
