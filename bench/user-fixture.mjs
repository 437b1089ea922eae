// The users of the login scenarios: more than there are hashing threads, so that these always have work.
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { openTokenFixture } from './token-fixture.mjs';

/** The default of the service. */
export const hashThreads = Math.max(1, availableParallelism() - 1);
const USERS = 4 * hashThreads;

/** A fixture with these users. The session limit is so high that no session ends for a new one. */
export async function openFixtureWithUsers() {
  const fixture = await openTokenFixture({
    POSTERN_HASH_CONCURRENCY: String(hashThreads),
    POSTERN_SESSIONS_PER_USER: '10000',
  });
  const emails = Array.from({ length: USERS }, () => `${randomUUID()}@example.com`);
  for (const email of emails) await fixture.addUser(email);
  return { ...fixture, emails };
}
