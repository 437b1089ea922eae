import { footprintRows } from '../footprint.mjs';
import { rowOf } from '../goals.mjs';
import { callOnce, email, LOGIN, loginMessage, openTokenFixture } from '../token-fixture.mjs';

const TOKENS = 500;
const LOGINS = 20;

/** The service on a running database. Its work includes logins, since each hashing thread allocates 19 MiB. */
export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const rows = {
      start: rowOf('service-footprint', 'service-start'),
      memory: rowOf('service-footprint', 'service-memory'),
    };
    const andThen = async ({ grpc }) => {
      for (let login = 0; login < LOGINS; login++) await callOnce(grpc, LOGIN, loginMessage(email));
    };
    const work = { tokens: await fixture.mint(TOKENS), andThen };
    return await footprintRows(rows, () => fixture.serve({ pinned: false }), work, plan);
  } finally {
    await fixture.stop();
  }
}
