// The hashing thread of the product, without its lower priority, which would starve it on a busy machine.
import { performance } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';

import { HashRunner } from '../../dist/passwords/hashing/hash-runner.js';

const runner = new HashRunner(() => performance.now());
parentPort.on('message', (job) => parentPort.postMessage(runner.run(job)));
