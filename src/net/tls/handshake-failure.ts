import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

import type { HandshakeFailure, ReportRefusedConnection } from '../refused-connection.ts';

interface Failure {
  readonly reason: HandshakeFailure;
  readonly detail: string;
}

const UNTRUSTED =
  /^(UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED)$/;
const PLAINTEXT =
  /^ERR_SSL_(HTTP_REQUEST|HTTPS_PROXY_REQUEST|WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|PACKET_LENGTH_TOO_LONG|BAD_PACKET_LENGTH)$/;
const NOTHING_IN_COMMON =
  /^ERR_SSL_(UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|VERSION_TOO_HIGH|NO_SHARED_CIPHER|NO_APPLICATION_PROTOCOL|NO_SUITABLE_KEY_SHARE|NO_SUITABLE_GROUPS|NO_SUITABLE_SIGNATURE_ALGORITHM|NO_SHARED_SIGNATURE_ALGORITHMS|INAPPROPRIATE_FALLBACK)$/;

/**
 * Why a handshake failed, by the error of a server's `tlsClientError`.
 *
 * @param authorizationError why the client certificate does not verify. Node then ends the connection itself, and its error
 *   is that of any closed connection
 */
export function handshakeFailure(errorCode: string, authorizationError: string | null): Failure {
  if (authorizationError !== null) return certificateFailure(authorizationError);
  if (errorCode === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE')
    return {
      reason: 'no-certificate',
      detail: 'the caller presented no client certificate, which POSTERN_TLS_CLIENT_CA requires',
    };
  if (PLAINTEXT.test(errorCode))
    return {
      reason: 'plaintext',
      detail: `the caller does not speak TLS, which this listener requires; perhaps it is set to plaintext (${errorCode})`,
    };
  if (NOTHING_IN_COMMON.test(errorCode))
    return {
      reason: 'no-common-protocol',
      detail: `the caller has no TLS version, cipher or protocol in common with this listener (${errorCode})`,
    };
  if (/_ALERT_.*(CERTIFICATE|UNKNOWN_CA)/.test(errorCode))
    return {
      reason: 'certificate-refused',
      detail: `the caller refuses the certificate of this listener (${errorCode}); compare its CA and host name with POSTERN_TLS_CERT`,
    };
  if (/_ALERT_(PROTOCOL_VERSION|HANDSHAKE_FAILURE|INSUFFICIENT_SECURITY)/.test(errorCode))
    return {
      reason: 'no-common-protocol',
      detail: `the caller refuses what this listener offers (${errorCode})`,
    };
  if (errorCode === 'ERR_TLS_HANDSHAKE_TIMEOUT')
    return { reason: 'timeout', detail: 'the caller did not complete the TLS handshake in time' };
  if (errorCode === 'ECONNRESET' || errorCode === 'EPIPE')
    return {
      reason: 'left',
      detail:
        'the caller closed the connection during the TLS handshake; perhaps it refuses the certificate of this listener',
    };
  return { reason: 'other', detail: `the TLS handshake failed (${errorCode})` };
}

function certificateFailure(code: string): Failure {
  if (code === 'CERT_HAS_EXPIRED')
    return {
      reason: 'expired-certificate',
      detail: "the caller's client certificate, or a CA certificate above it, has expired",
    };
  if (UNTRUSTED.test(code))
    return {
      reason: 'untrusted-certificate',
      detail: `the caller's client certificate is not of a CA in POSTERN_TLS_CLIENT_CA, or its intermediate certificates are missing (${code})`,
    };
  return { reason: 'invalid-certificate', detail: `the caller's client certificate is not valid (${code})` };
}

/**
 * Reports the failed handshakes of a TLS server. Not reported: connections that were closed without a byte, as load
 * balancers probe ports, and those that this process closed because of a limit.
 */
export function watchHandshakes(
  server: Server,
  wasClosedHere: (socket: Socket) => boolean,
  report: ReportRefusedConnection,
): void {
  const addresses = new WeakMap<Socket, string>();
  server.prependListener('connection', (socket: Socket) => {
    // A closed socket has no address any more.
    if (socket.remoteAddress !== undefined) addresses.set(socket, socket.remoteAddress);
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const carrier = carrierOf(socket);
    const failure = handshakeFailure(error.code ?? 'unknown', authorizationErrorOf(socket));
    if (
      carrier !== undefined &&
      (wasClosedHere(carrier) || (failure.reason === 'left' && carrier.bytesRead === 0))
    )
      return;
    const address = (carrier && addresses.get(carrier)) ?? socket.remoteAddress ?? null;
    report({ ...failure, address });
  });
}

/** The TCP socket below a TLS socket of a server: a private member of Node, without which only the address is missing. */
function carrierOf(socket: TLSSocket): Socket | undefined {
  return (socket as unknown as { readonly _parent?: Socket })._parent;
}

/** OpenSSL's code, although the type says Error; null when the certificate was not the reason. */
function authorizationErrorOf({ authorizationError }: TLSSocket): string | null {
  const code: unknown = authorizationError;
  return typeof code === 'string' ? code : null;
}
