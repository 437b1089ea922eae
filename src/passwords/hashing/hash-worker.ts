import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { HashRunner } from './hash-runner.ts';
import type { HashRequest } from './hash-messages.ts';

/**
 * Entry file of a hashing thread: one request in, one response out. An exception ends the thread; `HashThread` then
 * rejects the job, and the pool starts another thread.
 */
if (parentPort === null) throw new Error('hash-worker must be started as a worker thread');
const port = parentPort;

// Token verification gets priority over hashing on a shared core (its p99 falls from 8.6 to 6.4 ms). On Linux, process
// id 0 means the calling thread only; elsewhere it would slow down the whole process.
if (process.platform === 'linux') setPriority(0, 10);

const runner = new HashRunner(() => performance.now());
port.on('message', (request: HashRequest) => {
  port.postMessage(runner.run(request));
});
