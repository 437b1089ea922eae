import type { Transaction } from './database.ts';

const PURGE_LOCK = 0x70757267;

/** Tries to take the purge lock until the end of the transaction; false while another instance holds it. */
export async function tryPurgeLock(trx: Transaction): Promise<boolean> {
  const { rows } = await trx.raw<{ rows: { taken: boolean }[] }>(
    'SELECT pg_try_advisory_xact_lock(?) AS taken',
    [PURGE_LOCK],
  );
  return rows[0]?.taken === true;
}
