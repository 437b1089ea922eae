import { budgetOf } from '../../domain/operation-call.ts';
import { CLOCK_TOLERANCE_MS, DatabaseClock } from '../../domain/database-clock.ts';
import type { Database } from '../../database/database.ts';
import { readClock } from '../../features/signing-keys/signing-key-queries.ts';
import type { Finding } from './finding.ts';

/** The first may have to make the connection, and one more may be slow by chance. */
const READINGS = 3;

/** Holds this machine's clock against the database's. */
export async function clockFinding(database: Database, limitMs: number): Promise<Finding> {
  const clock = new DatabaseClock();
  for (let reading = 0; reading < READINGS; reading += 1) {
    const sentMs = performance.now();
    const databaseMs = await database.run(budgetOf(limitMs, Date.now()), readClock);
    clock.observe({ databaseMs, sentMs, receivedMs: performance.now() });
  }
  return judgeClock(clock.aheadMs ?? 0);
}

/** @param aheadMs of this machine's clock, below 0 when it is behind */
function judgeClock(aheadMs: number): Finding {
  const seconds = (Math.abs(aheadMs) / 1000).toFixed(1);
  if (Math.abs(aheadMs) <= CLOCK_TOLERANCE_MS) {
    const says = `this clock and the database's differ by ${seconds} s`;
    return { about: 'clock', verdict: 'ok', says };
  }
  return {
    about: 'clock',
    verdict: 'warning',
    says: `this machine's clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the database's`,
    advice: 'Mend the one that is wrong, as with NTP: tokens are refused too early or too late.',
  };
}
