// What `import 'postern/client'` gives, until the next minor version: the library is the package `postern-auth` now.
process.emitWarning(
  "'postern/client' is going to be removed. Install the package 'postern-auth' and import from it; the exports are the same.",
  { type: 'DeprecationWarning', code: 'POSTERN_CLIENT_MOVED' },
);

export * from './postern-client.ts';
