import { jest } from '@jest/globals';

import * as ofCalls from '../../src/rpc/time-limits.ts';
import * as ofDatabase from '../../src/database/time-limits.ts';
import * as ofPasswords from '../../src/passwords/time-limits.ts';

/** How many other programs may compete for each processor while the tests run. */
const FACTOR = 12;

// Load on the machine must not fail a test: in `npm test` the time limits of calls, of the database and of
// refusals are longer, and hashing threads keep their priority. `*.serial.test.ts` run with the limits of the product.
for (const [path, limits] of [
  ['../../src/rpc/time-limits.ts', ofCalls],
  ['../../src/database/time-limits.ts', ofDatabase],
  ['../../src/passwords/time-limits.ts', ofPasswords],
] as const) {
  const longer = Object.fromEntries(Object.entries(limits).map(([name, ms]) => [name, ms * FACTOR]));
  // A test that holds a lock does more meanwhile than any transaction of Postern, such as wait for other calls' hashes.
  if ('LOCK_TIMEOUT_MS' in longer) longer['LOCK_TIMEOUT_MS'] = ofDatabase.STORE_USE_LIMIT_MS * FACTOR;
  // It makes a limit shorter.
  if ('ANSWER_MARGIN_MS' in longer) longer['ANSWER_MARGIN_MS'] = ofDatabase.ANSWER_MARGIN_MS;
  jest.unstable_mockModule(path, () => longer);
}

jest.unstable_mockModule('../../src/passwords/hashing/hash-worker-url.ts', () => ({
  hashWorkerUrl: new URL('./hash-worker.mjs', import.meta.url),
}));
