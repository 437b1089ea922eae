import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** How long the answer may take to arrive, and what the sender still sends is thrown away. */
const LINGER_MS = 1_000;

/** What a request is told that never came to be one; nothing for a connection that is lost or speaks no HTTP at all. */
function refusalOf(code: string): { status: number; line: string } | null {
  if (code === 'HPE_HEADER_OVERFLOW')
    return { status: 431, line: 'the headers are larger than 8 KiB; send less' };
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return { status: 408, line: 'the request did not arrive in time' };
  return code.startsWith('HPE_') ? { status: 400, line: 'this is not an HTTP request' } : null;
}

/** Answers what Node's parser refuses before there is a request, with a line as every other refusal, and hangs up. */
export function respondToClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  const refusal = refusalOf(error.code ?? '');
  if (!refusal || !socket.writable) {
    // A second fault comes of what is still read of the first: the answer is on its way.
    if (!socket.writableEnded) socket.destroy();
    return;
  }
  const body = `${refusal.line}\n`;
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
  // Closed with bytes unread, the socket would be reset and the answer lost on its way.
  socket.resume();
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
