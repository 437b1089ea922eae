// A hashing thread as the product's is, but for its priority, which on a busy machine would leave it next to nothing.
import { performance } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';

import { HashRunner } from '../../dist/passwords/hashing/hash-runner.js';

const runner = new HashRunner(() => performance.now());
parentPort.on('message', (job) => parentPort.postMessage(runner.run(job)));
