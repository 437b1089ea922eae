// The origin of bench/trust-watchers.mjs: serves WatchTrust without a database, and revokes sessions when the parent asks.
import { setTimeout as pause } from 'node:timers/promises';
import { stampedId } from '../fan-out/stamp.mjs';
import { trustFixture } from '../trust-fixture.mjs';

const fixture = await trustFixture(Number(process.argv[2]));
/** What each message of the parent asks for; the result is the answer. */
const actions = {
  /** Revokes so many sessions at once after each of these pauses (ms). */
  async revoke({ pausesMs, count = 1 }) {
    const startedMs = performance.now();
    let dueMs = 0;
    for (const pauseMs of pausesMs) {
      dueMs += pauseMs;
      const leftMs = startedMs + dueMs - performance.now();
      if (leftMs > 0) await pause(leftMs);
      fixture.revoke(count, stampedId);
    }
  },
};

process.on('message', async ({ action, ...input }) => {
  await actions[action](input);
  process.send({ done: action });
});
process.once('disconnect', () => process.exit());
process.send({ address: fixture.address });
