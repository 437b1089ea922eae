// People who log in, in the scenarios of logins: more of them than hashing threads, so that these always have work.
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { openTokenFixture } from './token-fixture.mjs';

/** As many as the service has when it is not told. */
export const hashThreads = Math.max(1, availableParallelism() - 1);
const USERS = 4 * hashThreads;

/** A fixture with so many people, none of whose sessions has to end for another. */
export async function openFixtureWithUsers() {
  const fixture = await openTokenFixture({
    POSTERN_HASH_CONCURRENCY: String(hashThreads),
    POSTERN_SESSIONS_PER_USER: '10000',
  });
  const emails = Array.from({ length: USERS }, () => `${randomUUID()}@example.com`);
  for (const email of emails) await fixture.addUser(email);
  return { ...fixture, emails };
}
