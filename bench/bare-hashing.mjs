// The upper limit of the processor: threads that run only argon2id in a loop, with the parameters of the service.
import { URL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ARGON2ID_PARAMETERS } from '../dist/passwords/hashing/argon2id.js';

const { memoryKib, passes, lanes, tagBytes } = ARGON2ID_PARAMETERS;
const options = { memoryCost: memoryKib, timeCost: passes, parallelism: lanes, outputLen: tagBytes };
const threadCode = `
  import { parentPort } from 'node:worker_threads';
  import { hashSync } from ${JSON.stringify(import.meta.resolve('@node-rs/argon2'))};
  parentPort.on('message', (endMs) => {
    let done = 0;
    while (Date.now() < endMs) { hashSync('correct horse battery staple', ${JSON.stringify(options)}); done++; }
    parentPort.postMessage(done);
  });
`;

/** @param {number} count the number of threads */
export function bareHashing(count) {
  const code = new URL(`data:text/javascript,${encodeURIComponent(threadCode)}`);
  const threads = Array.from({ length: count }, () => new Worker(code));
  return {
    /** Lets all threads hash for this long. */
    async hash(seconds) {
      const startedMs = performance.now();
      const endMs = Date.now() + seconds * 1_000;
      const hashing = threads.map((thread) => {
        const done = new Promise((resolve) => thread.once('message', resolve));
        thread.postMessage(endMs);
        return done;
      });
      const calls = (await Promise.all(hashing)).reduce((sum, own) => sum + own, 0);
      return { calls, seconds: (performance.now() - startedMs) / 1_000 };
    },
    stop: () => Promise.all(threads.map((thread) => thread.terminate())),
  };
}
