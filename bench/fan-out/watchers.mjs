// The watchers of bench/trust-watchers.mjs, all in this process: HTTP/2 streams without a gRPC library, so that they cost
// little beside what is measured.
import { connect } from 'node:http2';
import { URL } from 'node:url';
import { TrustUpdate, WatchTrustRequest } from '../../dist/generated/postern/v1/trust.js';
import { nowUs, stampOf } from './stamp.mjs';

const PATH = '/postern.v1.TrustService/WatchTrust';
const PREFIX_BYTES = 5;

let expected = 0;
let delaysMs = [];
let bytes = 0;
let updates = 0;
let completed = 0;
const watchers = [];

class Watcher {
  cursor = '';
  #isComplete = false;
  #rest = Buffer.alloc(0);

  constructor(address) {
    this.address = address;
  }

  open(onComplete) {
    this.#isComplete = false;
    this.#rest = Buffer.alloc(0);
    const isSocket = this.address.startsWith('unix:');
    const session = connect(
      new URL(isSocket ? 'http://localhost' : `http://${this.address}`),
      isSocket ? { path: this.address.slice('unix:'.length) } : {},
    );
    const failed = (error) => this.session === session && fail(error);
    session.on('error', failed);
    const stream = session.request({
      ':method': 'POST',
      ':path': PATH,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', failed);
    stream.on('data', (chunk) => this.#read(chunk, onComplete));
    let ending = 'without a status';
    stream.on('trailers', (trailers) => (ending = trailers['grpc-message']));
    stream.on('end', () => failed(new Error(`the server ended a stream: ${ending}`)));
    stream.end(frameOf(WatchTrustRequest.encode({ cursor: this.cursor, relayId: Buffer.alloc(0) }).finish()));
    this.session = session;
  }

  close() {
    const { session } = this;
    this.session = null;
    session.destroy();
  }

  #read(chunk, onComplete) {
    bytes += chunk.length;
    let buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (buffer.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + buffer.readUInt32BE(1);
      if (buffer.length < end) break;
      this.#take(TrustUpdate.decode(buffer.subarray(PREFIX_BYTES, end)), onComplete);
      buffer = buffer.subarray(end);
    }
    this.#rest = buffer;
  }

  #take({ cursor, update }, onComplete) {
    updates += 1;
    if (cursor !== '') this.cursor = cursor;
    if (update?.$case === 'heartbeat' && !this.#isComplete) {
      this.#isComplete = true;
      onComplete();
    }
    if (update?.$case !== 'revocations') return;
    const now = nowUs();
    for (const { revoked } of update.value.revocations) {
      const stamp = revoked?.$case === 'sessionId' ? stampOf(revoked.value) : null;
      if (stamp !== null) delaysMs.push((now - stamp) / 1_000);
    }
    if (expected > 0 && delaysMs.length >= expected) {
      expected = 0;
      process.send({ done: 'expect' });
    }
  }
}

function frameOf(message) {
  const frame = Buffer.alloc(PREFIX_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

function fail(error) {
  console.error(`a watcher: ${error.message}`);
  process.exit(1);
}

/** Opens all, at most `limit` at the same time, and resolves to the time from the first to each completion. */
function openAll(chosen, limit) {
  const startedMs = performance.now();
  const doneMs = [];
  let next = 0;
  return new Promise((resolve) => {
    const one = () => {
      if (next < chosen.length) {
        chosen[next++].open(() => {
          doneMs.push(performance.now() - startedMs);
          completed += 1;
          one();
          if (doneMs.length === chosen.length) resolve(doneMs);
        });
      }
    };
    for (let started = 0; started < limit; started++) one();
  });
}

const actions = {
  /** Watchers at each of these addresses. */
  async open({ addresses, each, limit }) {
    const added = addresses.flatMap((address) => Array.from({ length: each }, () => new Watcher(address)));
    watchers.push(...added);
    return { doneMs: await openAll(added, limit) };
  },
  /** All lose their streams and resume from their cursors, at once. */
  async reopen({ limit }) {
    for (const watcher of watchers) watcher.close();
    return { doneMs: await openAll(watchers, limit) };
  },
  /** Answers `done: 'expect'` when each watcher has got so many revocations more. */
  expect({ revocations }) {
    delaysMs = [];
    bytes = 0;
    updates = 0;
    expected = revocations * watchers.length;
    return { isSilent: true };
  },
  report() {
    return { delaysMs, bytes, updates };
  },
};

process.on('message', async ({ action, ...input }) => {
  const result = await actions[action](input);
  if (!result.isSilent) process.send({ done: action, ...result });
});
process.once('disconnect', () => process.exit());
process.send({ ready: true, completed });
