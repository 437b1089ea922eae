// A hashing thread that does not compute the dummy hash when there is no hash to check.
import { performance } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';

import { HashRunner } from '../../dist/passwords/hashing/hash-runner.js';

const runner = new HashRunner(() => performance.now());
const nothing = { kind: 'verified', matches: false, needsRehash: false, damage: null, workMs: 0 };
parentPort.on('message', (job) => {
  parentPort.postMessage(job.kind === 'verify' && job.stored === null ? nothing : runner.run(job));
});
