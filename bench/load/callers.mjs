// The load of scenarios in which each call has its own message: a number of callers on plain HTTP/2, each with one call in flight.
import { connect } from 'node:http2';
import { framed } from './h2load.mjs';

const CONNECTIONS = 4;

/**
 * @param {{ address: string, path: string, callers: number, seconds: number,
 *   next: (caller: number) => Uint8Array | null, onResponse?: (caller: number, response: Buffer, ms: number) => void }} options
 *   `next` returns the next message of a caller, or null when there is none left, which ends the load early
 * @returns {Promise<{ calls: number, seconds: number }>}
 */
export async function callersLoad({ address, path, callers, seconds, next, onResponse = () => undefined }) {
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
        const response = await unaryCall(session, path, message);
        onResponse(index, response, performance.now() - sentMs);
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

/** Resolves to the message of the response; rejects for every gRPC status but OK. */
export async function unaryCall(session, path, message) {
  const { status, text, body } = await call(session, path, message);
  if (status !== 0) throw new Error(`${path}: status ${status} ${text}`);
  return body;
}

/** Resolves to the gRPC status. */
export async function callStatus(session, path, message) {
  return (await call(session, path, message)).status;
}

function call(session, path, message) {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks = [];
    let status = 0;
    let text = '';
    const readStatus = (headers) => {
      if (headers['grpc-status'] === undefined) return;
      status = Number(headers['grpc-status']);
      text = String(headers['grpc-message']);
    };
    stream.on('response', readStatus);
    stream.on('trailers', readStatus);
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => resolve({ status, text, body: Buffer.concat(chunks).subarray(5) }));
    stream.on('error', reject);
    stream.end(framed(message));
  });
}
