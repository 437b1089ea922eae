import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';

import type { Server } from '@grpc/grpc-js';

import { describePeer } from '../../net/peer-address.ts';
import { http2ServersOf } from '../grpc-js-internals.ts';

interface Origin {
  readonly peer: string;
  readonly limitedSource: string | null;
}

/** The peer of each connection. Recorded when the connection opens, because a closed session has no address. */
export class SessionOrigins {
  readonly #origins = new WeakMap<Http2Session, Origin>();
  readonly #limitedSourceOf: (socket: Socket) => string | null;

  /** @param limitedSourceOf the source to which limits of one address apply; null where they do not apply */
  constructor(limitedSourceOf: (socket: Socket) => string | null) {
    this.#limitedSourceOf = limitedSourceOf;
  }

  /** Records every new connection of a bound server. */
  watch(server: Server): void {
    for (const http2Server of http2ServersOf(server)) {
      http2Server.prependListener('session', (session: Http2Session) => {
        const { socket } = session;
        this.#origins.set(session, {
          peer: describePeer(socket),
          limitedSource: this.#limitedSourceOf(socket),
        });
      });
    }
  }

  /** The peer as grpc-js formats it. */
  peerOf(session: Http2Session | undefined): string {
    return (session && this.#origins.get(session)?.peer) ?? 'unknown';
  }

  limitedSourceOf(session: Http2Session): string | null {
    return this.#origins.get(session)?.limitedSource ?? null;
  }
}
