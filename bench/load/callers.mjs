// The load of scenarios in which each call has its own message: so many callers on bare HTTP/2, each with one call under way.
import { connect } from 'node:http2';
import { framed } from './h2load.mjs';

const CONNECTIONS = 4;

/**
 * @param {{ address: string, path: string, callers: number, seconds: number,
 *   next: (caller: number) => Uint8Array | null, took?: (caller: number, answer: Buffer, ms: number) => void }} options
 *   `next` gives a caller's next message, or null when there is none left, which ends the load before its time
 * @returns {Promise<{ calls: number, seconds: number }>}
 */
export async function callersLoad({ address, path, callers, seconds, next, took = () => undefined }) {
  const sessions = Array.from({ length: Math.min(CONNECTIONS, callers) }, () => openSession(address));
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1_000;
  let calls = 0;
  let isOver = false;
  const caller = async (index) => {
    const session = sessions[index % sessions.length];
    while (!isOver && performance.now() < endMs) {
      const message = next(index);
      if (message === null) isOver = true;
      else {
        const sentMs = performance.now();
        const answer = await unaryCall(session, path, message);
        took(index, answer, performance.now() - sentMs);
        calls++;
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: callers }, (_value, index) => caller(index)));
    return { calls, seconds: (performance.now() - startedMs) / 1_000 };
  } finally {
    for (const session of sessions) session.close();
  }
}

/** @param {string} address HOST:PORT or unix:PATH */
export function openSession(address) {
  return address.startsWith('unix:')
    ? connect('http://localhost', { path: address.slice('unix:'.length) })
    : connect(`http://${address}`);
}

/** Resolves to the answer's message; rejects for every gRPC status but OK. */
export function unaryCall(session, path, message) {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks = [];
    const judge = (headers) => {
      const status = headers['grpc-status'];
      if (status !== undefined && status !== '0') {
        reject(new Error(`${path}: status ${status} ${String(headers['grpc-message'])}`));
      }
    };
    stream.on('response', judge);
    stream.on('trailers', judge);
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => resolve(Buffer.concat(chunks).subarray(5)));
    stream.on('error', reject);
    stream.end(framed(message));
  });
}
