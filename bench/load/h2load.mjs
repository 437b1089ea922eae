// The load of scenarios whose calls are all alike: h2load, which needs only a fraction of the CPU time of any server.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const CONNECTIONS = 4;
const STREAMS_EACH = 25;

/** @returns {boolean} */
export function hasH2load() {
  try {
    execFileSync('h2load', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * Calls a unary method repeatedly with one message.
 *
 * @param {{ address: string, path: string, message: Uint8Array, seconds: number, answerBytes: number }} options `answerBytes`: the
 *   length of the response message, which is checked for every call, because h2load ignores the gRPC status
 * @returns {Promise<{ calls: number, seconds: number }>}
 */
export async function h2load({ address, path, message, seconds, answerBytes }) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-h2load-'));
  const body = join(folder, 'body');
  writeFileSync(body, framed(message));
  const unix = address.startsWith('unix:');
  const options = [
    ...['-c', CONNECTIONS, '-m', STREAMS_EACH, '-t', 1, '-D', `${Math.round(seconds * 1_000)}ms`, '-d', body],
    ...['-H', 'content-type: application/grpc', '-H', 'te: trailers'],
    ...(unix ? ['-B', address] : []),
    unix ? `http://localhost${path}` : `http://${address}${path}`,
  ];
  try {
    const { stdout } = await promisify(execFile)('h2load', options.map(String));
    return readReport(stdout, seconds, answerBytes + FRAME_BYTES);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Posts JSON repeatedly over HTTP/1.1, one request at a time on each connection.
 *
 * @param {{ address: string, path: string, body: string, seconds: number, answerBytes: number }} options as for `h2load`
 * @returns {Promise<{ calls: number, seconds: number }>}
 */
export async function h1load({ address, path, body, seconds, answerBytes }) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-h1load-'));
  const file = join(folder, 'body');
  writeFileSync(file, body);
  const options = [
    ...['--h1', '-c', H1_CONNECTIONS, '-t', 1, '-D', `${Math.round(seconds * 1_000)}ms`, '-d', file],
    ...['-H', 'content-type: application/json', `http://${address}${path}`],
  ];
  try {
    const { stdout } = await promisify(execFile)('h2load', options.map(String));
    return readReport(stdout, seconds, answerBytes);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const H1_CONNECTIONS = 32;
const FRAME_BYTES = 5;

/** Frames a gRPC message: uncompressed, with its length. */
export function framed(message) {
  const frame = Buffer.alloc(FRAME_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, FRAME_BYTES);
  return frame;
}

function readReport(text, seconds, bytesEach) {
  const [, done, failed] =
    /requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed/.exec(text) ?? [];
  const [, dataBytes] = /traffic: .* \((\d+)\) data/.exec(text) ?? [];
  const calls = Number(done);
  if (!(calls > 0) || Number(failed) > 0) throw new Error(`h2load: ${failed ?? 'all'} calls failed\n${text}`);
  // Calls that were still in flight at the end may have contributed data, so that more than expected is allowed.
  const missing = calls * bytesEach - Number(dataBytes);
  if (missing > 0) throw new Error(`h2load: ${missing} bytes of the responses are missing\n${text}`);
  return { calls, seconds };
}
