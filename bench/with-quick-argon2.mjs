// Replaces the hashing library of a service by `quick-argon2.mjs`: node --import PATH_OF_THIS dist/cli/postern.js serve
// Hashing threads do not inherit the hook from the process that starts them, so this is their entry file as well.
import { createRequire, register } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import { URL } from 'node:url';
import * as quick from './quick-argon2.mjs';

export const hashWorkerUrl = new URL(import.meta.url);

// From now on, requiring the library returns the replacement.
const require = createRequire(import.meta.url);
require.cache[require.resolve('@node-rs/argon2')].exports = quick;

const hooks = `
  export function resolve(specifier, context, next) {
    const isEntry = specifier.endsWith('/hash-worker-url.js');
    return isEntry ? { url: ${JSON.stringify(import.meta.url)}, shortCircuit: true } : next(specifier, context);
  }
`;
if (isMainThread) register(`data:text/javascript,${encodeURIComponent(hooks)}`);
else await import('../dist/passwords/hashing/hash-worker.js');
