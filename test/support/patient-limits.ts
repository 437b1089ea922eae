import { jest } from '@jest/globals';

import * as ofCalls from '../../src/rpc/time-limits.ts';
import * as ofDatabase from '../../src/database/time-limits.ts';

/** How many other programs may want each processor while the tests run. */
const FACTOR = 12;

// A machine that is busy with other work must not fail a test: the time limits of calls and of the database are longer
// in `npm test`. Tests of the limits themselves are `*.serial.test.ts`, where they are as they are in the product.
for (const [path, limits] of [
  ['../../src/rpc/time-limits.ts', ofCalls],
  ['../../src/database/time-limits.ts', ofDatabase],
] as const) {
  const longer = Object.fromEntries(Object.entries(limits).map(([name, ms]) => [name, ms * FACTOR]));
  jest.unstable_mockModule(path, () => longer);
}
