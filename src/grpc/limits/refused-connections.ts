import type { Http2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';

import type { Server } from '@grpc/grpc-js';

import type { ConnectionSlots } from '../../net/connection-slots.ts';
import { peerIp } from '../../net/peer-address.ts';
import type { ReportRefusedConnection } from '../../net/refused-connection.ts';
import { watchHandshakes } from '../../net/tls/handshake-failure.ts';
import { http2ServersOf } from '../grpc-js-internals.ts';
import type { SessionOrigins } from './session-origins.ts';

/** nghttp2: the connection did not begin with the preface of HTTP/2 (RFC 9113 section 3.4). */
const BAD_CLIENT_MAGIC = -903;

/** Reports the connections of a bound server on which no call can arrive: failed handshakes, and other protocols. */
export function watchConnections(
  server: Server,
  {
    origins,
    slots,
    report,
  }: { origins: SessionOrigins; slots: ConnectionSlots; report: ReportRefusedConnection },
): void {
  for (const http2Server of http2ServersOf(server)) {
    watchHandshakes(http2Server, (socket) => slots.wasClosed(socket), report);
    http2Server.on('secureConnection', (socket: TLSSocket) => {
      // Not by the event `unknownProtocol`: with a listener of it, Node would not answer any more.
      if (socket.alpnProtocol === 'h2') return;
      const detail = 'the caller did not ask for HTTP/2 in the TLS handshake (ALPN h2), which gRPC requires';
      report({ reason: 'not-http2', detail, address: socket.remoteAddress ?? null });
    });
    http2Server.on('sessionError', (error: NodeJS.ErrnoException, session: Http2Session) => {
      if (error.errno !== BAD_CLIENT_MAGIC) return;
      const detail =
        'the connection did not begin as HTTP/2; perhaps the caller uses TLS, which this listener does not, or HTTP/1.1';
      report({ reason: 'not-http2', detail, address: peerIp(origins.peerOf(session)) });
    });
  }
}
