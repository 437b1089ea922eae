import { readFileSync } from 'node:fs';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';

import { decodeText } from '../../domain/decode-text.ts';
import { errorText } from '../../domain/error-text.ts';
import { requireTrustedPath } from '../../domain/trusted-path.ts';
import type { DatabaseTls } from '../../net/database-url.ts';
import type { DatabaseServer } from './database-address.ts';
import { CertificateRefused, requireCertificate, TlsFailed } from './server-certificate.ts';

/** Whether the server must encrypt, may, or must not. */
export type Encryption = 'required' | 'if-offered' | 'none';

export interface OpenedSocket {
  readonly socket: Socket;
  readonly isEncrypted: boolean;
}

/** The server speaks no TLS, which `sslmode` demands. */
export class TlsUnsupported extends Error {
  constructor() {
    super('The server does not support SSL connections');
    this.name = 'TlsUnsupported';
  }
}

/** PostgreSQL manual, "Message Formats", SSLRequest. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const DIRECT_PROTOCOL = 'postgresql';

/**
 * Opens a socket to a server and encrypts it, so that nothing is sent to a server whose certificate is not accepted (D23). The
 * driver's own negotiation has neither `allow` nor `prefer`, and does not say which certificate it refuses.
 *
 * @param watch receives the socket at once, to destroy it when the attempt takes too long
 * @throws TlsUnsupported, CertificateRefused, TlsFailed, and the errors of the network
 */
export async function openSocket(
  { host, port, tls }: DatabaseServer,
  encryption: Encryption,
  watch: (socket: Socket) => void,
): Promise<OpenedSocket> {
  const isLocal = host.startsWith('/');
  const socket = connect(isLocal ? { path: `${host}/.s.PGSQL.${port}` } : { host, port });
  watch(socket);
  try {
    await eventOf(socket, 'connect');
    socket.setNoDelay(true);
    if (tls === null || encryption === 'none') return { socket, isEncrypted: false };
    if (!tls.direct && !(await offersTls(socket))) {
      if (encryption === 'required') throw new TlsUnsupported();
      return { socket, isEncrypted: false };
    }
    return { socket: await encrypt(socket, tls, host, port), isEncrypted: true };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** One byte answers, and no more: further bytes, sent before the handshake, would be read as if they were encrypted. */
async function offersTls(socket: Socket): Promise<boolean> {
  socket.write(SSL_REQUEST);
  const answer = String(await eventOf(socket, 'data'));
  if (answer === 'S') return true;
  if (answer === 'N') return false;
  // An ErrorResponse, from a server without resources for a session. Its text has not been authenticated (CVE-2024-10977).
  if (answer.startsWith('E'))
    throw new Error('Connection terminated: the server answered the request for TLS with an error');
  throw new TlsFailed('the server did not answer the request for TLS as PostgreSQL does');
}

async function encrypt(socket: Socket, tls: DatabaseTls, host: string, port: number): Promise<TLSSocket> {
  const encrypted = connectTls({ socket, ...tlsOptions(tls, host) });
  try {
    await eventOf(encrypted, 'secureConnect');
  } catch (error) {
    throw new TlsFailed(`the TLS handshake with ${host}:${port} failed: ${handshakeErrorText(error)}`, {
      cause: error,
    });
  }
  requireCertificate(encrypted, tls, host, port);
  if (tls.direct && encrypted.alpnProtocol !== DIRECT_PROTOCOL)
    throw new TlsFailed(`the server ${host}:${port} does not take sslnegotiation=direct`);
  return encrypted;
}

/** OpenSSL's reason, such as `wrong version number`. Its message also has the lines of its source. */
function handshakeErrorText(error: unknown): string {
  const { reason } = error as { reason?: unknown };
  return typeof reason === 'string' ? reason : errorText(error);
}

function tlsOptions(tls: DatabaseTls, host: string): ConnectionOptions {
  const { rootCert, cert, key, passphrase, minVersion, maxVersion, direct } = tls;
  return {
    // `requireCertificate` verifies, after the handshake and before anything is sent.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(rootCert !== undefined && rootCert !== 'system' && { ca: fileOf('sslrootcert', rootCert) }),
    ...(cert !== undefined && { cert: fileOf('sslcert', cert) }),
    ...(key !== undefined && { key: fileOf('sslkey', key) }),
    ...(passphrase !== undefined && { passphrase }),
    ...(minVersion !== undefined && { minVersion }),
    ...(maxVersion !== undefined && { maxVersion }),
    ...(direct && { ALPNProtocols: [DIRECT_PROTOCOL] }),
    // RFC 6066 section 3: not for an address.
    ...(isIP(host) === 0 && { servername: host }),
  };
}

/** Read at each connection, so that a renewed file counts without a restart. */
function fileOf(parameter: string, path: string): string {
  try {
    requireTrustedPath(path, 'root');
    return decodeText(readFileSync(path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new TlsFailed(
      `the file of ${parameter} in DATABASE_URL cannot be read (${code ?? errorText(error)})`,
    );
  }
}

/** Resolves with the value of an event, and rejects when the socket fails or closes before it. */
function eventOf(socket: Socket, name: 'connect' | 'secureConnect' | 'data'): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onEvent = (value: unknown) => settle(() => resolve(value));
    const onError = (error: Error) => settle(() => reject(error));
    const onClose = () => settle(() => reject(new Error('Connection terminated unexpectedly')));
    const settle = (end: () => void) => {
      socket.off(name, onEvent).off('error', onError).off('close', onClose);
      // A later error without a listener would end the process; the driver has its own once it has the socket.
      socket.on('error', () => undefined);
      end();
    };
    socket.on(name, onEvent).on('error', onError).on('close', onClose);
  });
}

/** Whether a connection in plaintext may work where this failure ended an encrypted one. */
export function isTlsFault(error: unknown): boolean {
  return error instanceof TlsUnsupported || error instanceof TlsFailed || error instanceof CertificateRefused;
}
