import { URL } from 'node:url';

/** Replaces `passwords/hashing/hash-worker-url.js`. */
export const hashWorkerUrl = new URL('./no-dummy-worker.mjs', import.meta.url);
