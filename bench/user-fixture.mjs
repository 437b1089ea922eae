// The users of the login scenarios: more than there are hashing threads, so that these always have work.
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { openTokenFixture } from './token-fixture.mjs';

/** The default of the service. */
export const hashThreads = Math.max(1, availableParallelism() - 1);
const USERS = 4 * hashThreads;

/**
 * A fixture with users whose logins all succeed. The session limit is so high that no session ends for a new one.
 *
 * @param {number} count
 */
export async function openFixtureWithUsers(count = USERS) {
  const fixture = await openTokenFixture({
    POSTERN_HASH_CONCURRENCY: String(hashThreads),
    POSTERN_SESSIONS_PER_USER: '10000',
  });
  const emails = Array.from({ length: count }, () => `${randomUUID()}@example.com`);
  const [first, ...others] = emails;
  await fixture.addUser(first);
  // The same hash for all, so that many users cost one hash.
  await fixture.query(
    `INSERT INTO users (id, email, password_hash)
     SELECT gen_random_uuid(), other, password_hash FROM users, unnest($2::text[]) AS other WHERE email = $1`,
    [first, others],
  );
  return { ...fixture, emails };
}
