import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** How long the connection stays open for the response to arrive; whatever the client sends meanwhile is discarded. */
const LINGER_MS = 1_000;

/** The response to an error of Node's HTTP parser; null for a lost connection and for other errors of the socket. */
function refusalOf(code: string): { status: number; message: string } | null {
  if (code === 'HPE_HEADER_OVERFLOW')
    return { status: 431, message: 'the headers are larger than 8 KiB; send less' };
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return { status: 408, message: 'the request did not arrive in time' };
  return code.startsWith('HPE_') ? { status: 400, message: 'this is not an HTTP request' } : null;
}

/** Answers an error of Node's HTTP parser, which comes before there is a request, and closes the connection. */
export function respondToClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  const refusal = refusalOf(error.code ?? '');
  if (!refusal || !socket.writable) {
    // Bytes after the invalid ones can cause a second error while the response is still being sent.
    if (!socket.writableEnded) socket.destroy();
    return;
  }
  const body = `${refusal.message}\n`;
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ''}`,
    'content-type: text/plain; charset=utf-8',
    'x-content-type-options: nosniff',
    'cache-control: no-store',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  // Closing a socket with unread bytes resets the connection, and the response would be lost.
  socket.resume();
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
