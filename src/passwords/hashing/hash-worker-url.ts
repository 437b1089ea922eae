/**
 * URL of the entry file of a hashing thread. Node 20 cannot start a worker from a .ts file, so code that runs from
 * `src/` (the tests) uses the built worker; `npm test` builds first. Built code, bundled or not, uses the file next to
 * it.
 */
export const hashWorkerUrl = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/passwords/hashing/hash-worker.js' : './hash-worker.js',
  import.meta.url,
);
