import { ServerCredentials } from '@grpc/grpc-js';

import { HANDSHAKE_LIMIT_MS, type ServerTls } from '../net/tls/server-tls.ts';

/**
 * Server credentials whose certificate can change while connections are open: grpc-js passes each new context to its
 * listener. Where a client certificate is required, a handshake without a valid one fails (N09).
 */
export class TlsCredentials extends ServerCredentials {
  constructor(tls: ServerTls) {
    super(
      {
        requestCert: tls.requiresClientCertificate,
        rejectUnauthorized: tls.requiresClientCertificate,
        handshakeTimeout: HANDSHAKE_LIMIT_MS,
      },
      tls.context,
    );
    tls.subscribe((context) => this.updateSecureContextOptions(context));
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
