/**
 * Where the hashing thread's code is. Node 20 starts no worker from a .ts file, so code that runs from `src/` (the
 * tests) uses the built worker; `npm test` builds first. Built code, bundled or not, uses its neighbour.
 */
export const hashWorkerUrl = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/passwords/hashing/hash-worker.js' : './hash-worker.js',
  import.meta.url,
);
