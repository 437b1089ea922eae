import { randomBytes, randomInt } from 'node:crypto';
import { ARGON2ID_PARAMETERS } from '../../dist/passwords/hashing/argon2id.js';
import { longWarmUp, sampleServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { callersLoad } from '../load/callers.mjs';
import { curveRow } from '../measured-row.mjs';
import { unbundledPostern } from '../measured-process.mjs';
import { spread } from '../pairs.mjs';
import { hashSync } from '../quick-argon2.mjs';
import { password } from '../bench-service.mjs';
import { LOGIN, loginMessage, openTokenFixture } from '../token-fixture.mjs';

const MIN_USERS = 1_000;
const QUICK_USERS = 10_000;
const CALLERS = 8;
const emailOf = (place) => `user-${String(place)}@example.com`;

/**
 * Random users log in. There is a database for each number of users; PostgreSQL has 16 MB of buffers, so that the larger ones
 * do not fit. Everything is included but the work of the hash: `quick-argon2.mjs` replaces the library. The rows that logins
 * create are deleted before each sample, since of a thousand users each logs in again sooner than of a million.
 */
export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const max = plan.quick ? QUICK_USERS : plan.users;
    const sizes = [];
    for (let size = MIN_USERS; size <= max; size *= 10) sizes.push(size);
    const start = {};
    for (const size of sizes) {
      const side = size === MIN_USERS ? 'baseline' : String(size);
      start[side] = await openUsers(fixture, size);
    }
    const load = ({ grpc }, seconds, side) => {
      const size = side === 'baseline' ? MIN_USERS : Number(side);
      const next = () => loginMessage(emailOf(1 + randomInt(size)));
      return callersLoad({ address: grpc, path: LOGIN, callers: CALLERS, seconds, next });
    };
    const rounds = await sampleServers(start, load, longWarmUp(plan));
    const points = sizes.slice(1).map((size) => [size, String(size)]);
    const row = curveRow(rowOf('users'), rounds, plan, points);
    const perSecond = rounds.map(({ baseline }) => baseline.calls / baseline.seconds);
    row.also['logins per second at 1,000'] = spread(perSecond);
    return [row];
  } finally {
    await fixture.stop();
  }
}

/** Creates a database with this many users, and starts services on it. */
async function openUsers(fixture, size) {
  console.error(`  creating ${size.toLocaleString('en')} users`);
  const name = `users_${String(size)}`;
  const url = await fixture.copy(name);
  const query = (sql, values = []) => fixture.query(sql, values, name);
  const { memoryKib, passes, lanes, saltBytes, tagBytes } = ARGON2ID_PARAMETERS;
  const hash = hashSync(password, {
    memoryCost: memoryKib,
    timeCost: passes,
    parallelism: lanes,
    outputLen: tagBytes,
    salt: randomBytes(saltBytes),
  });
  await query(
    `INSERT INTO users (id, email, password_hash)
     SELECT uuidv7(), replace($1, '0', place::text), $2 FROM generate_series(1, $3) AS place`,
    [emailOf(0), hash, size],
  );
  await query('VACUUM ANALYZE users');
  return async () => {
    await query('TRUNCATE sessions, audit_events, login_throttle');
    await query('CHECKPOINT');
    const flags = ['--import', import.meta.resolve('../with-quick-argon2.mjs')];
    return fixture.serve({ command: unbundledPostern, environment: { DATABASE_URL: url }, flags });
  };
}
