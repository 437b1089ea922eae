import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';

import type { Server } from '@grpc/grpc-js';

import { http2ServersOf } from './grpc-js-internals.ts';

interface Origin {
  readonly peer: string;
  readonly limitedSource: string | null;
}

/** Who is at the other end of each connection, noted when it begins: a session that has ended does not tell. */
export class SessionOrigins {
  readonly #origins = new WeakMap<Http2Session, Origin>();
  readonly #limitedSourceOf: (socket: Socket) => string | null;

  /** @param limitedSourceOf whose connection it is; null for those that are not told apart */
  constructor(limitedSourceOf: (socket: Socket) => string | null) {
    this.#limitedSourceOf = limitedSourceOf;
  }

  /** Notes every connection of a bound server from now on. */
  watch(server: Server): void {
    for (const http2Server of http2ServersOf(server)) {
      http2Server.prependListener('session', (session: Http2Session) => {
        const { socket } = session;
        this.#origins.set(session, { peer: peerOf(socket), limitedSource: this.#limitedSourceOf(socket) });
      });
    }
  }

  /** As grpc-js names it. */
  peerOf(session: Http2Session | undefined): string {
    return (session && this.#origins.get(session)?.peer) ?? 'unknown';
  }

  limitedSourceOf(session: Http2Session): string | null {
    return this.#origins.get(session)?.limitedSource ?? null;
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  if (!remoteAddress) return 'unknown';
  return remotePort ? `${remoteAddress}:${remotePort}` : remoteAddress;
}
