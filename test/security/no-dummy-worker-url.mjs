import { URL } from 'node:url';

/** In the place of `passwords/hashing/hash-worker-url.js`. */
export const hashWorkerUrl = new URL('./no-dummy-worker.mjs', import.meta.url);
