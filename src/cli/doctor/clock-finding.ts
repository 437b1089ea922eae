import { CLOCK_TOLERANCE_MS, DatabaseClock } from '../../domain/database-clock.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { readClock } from '../../features/signing-keys/signing-key-queries.ts';
import type { Finding } from './finding.ts';

/** The first reading may include opening the connection, and one more may be slow by chance. */
const READINGS = 3;

/** Compares the clock of this machine with that of the database. */
export async function clockFinding(database: Database, limitMs: number): Promise<Finding> {
  const clock = new DatabaseClock();
  for (let reading = 0; reading < READINGS; reading += 1) {
    const sentMs = performance.now();
    const databaseMs = await database.run(budgetOf(limitMs, Date.now()), readClock);
    clock.observe({ databaseMs, sentMs, receivedMs: performance.now() });
  }
  return clockDifferenceFinding(clock.aheadMs ?? 0);
}

/** @param aheadMs by how much this machine's clock is ahead of the database's; negative when it is behind */
function clockDifferenceFinding(aheadMs: number): Finding {
  const seconds = (Math.abs(aheadMs) / 1000).toFixed(1);
  if (Math.abs(aheadMs) <= CLOCK_TOLERANCE_MS) {
    const message = `the clocks of this machine and the database differ by ${seconds} s`;
    return { check: 'clock', verdict: 'ok', message };
  }
  return {
    check: 'clock',
    verdict: 'warning',
    message: `this machine's clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the database's`,
    advice: 'Correct the wrong clock, for example with NTP. Until then tokens expire too early or too late.',
  };
}
