// A service with `quick-argon2.mjs` in the place of the hashing library: node --import PATH_OF_THIS dist/cli/postern.js serve
// Hashing threads take nothing over from the process that starts them, so this is their entry file as well.
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import { URL } from 'node:url';

export const hashWorkerUrl = new URL(import.meta.url);

const replaced = {
  '@node-rs/argon2': import.meta.resolve('./quick-argon2.mjs'),
  './hash-worker-url.js': import.meta.url,
};
const hooks = `
  const replaced = new Map(Object.entries(${JSON.stringify(replaced)}));
  export function resolve(specifier, context, next) {
    const url = replaced.get(specifier);
    return url ? { url, shortCircuit: true } : next(specifier, context);
  }
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

if (!isMainThread) await import('../dist/passwords/hash-worker.js');
