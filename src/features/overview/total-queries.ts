import type { Knex } from 'knex';

/** A number of rows. */
export interface Total {
  readonly count: number;
  readonly isEstimate: boolean;
}

export interface Totals {
  readonly users: Total;
  readonly liveSessions: Total;
  readonly serviceAccounts: Total;
}

/** Up to here rows are counted, which takes milliseconds; a count of a million would take a second each time. */
export const MAX_EXACT_TOTAL = 10_000;

const COUNTED = {
  users: 'FROM users',
  liveSessions: 'FROM sessions WHERE ended_at IS NULL AND expires_at > now()',
  serviceAccounts: 'FROM service_accounts',
} as const;

/** Reads how many users, live sessions and service accounts there are. */
export async function readTotals(db: Knex): Promise<Totals> {
  const counts = Object.entries(COUNTED).map(
    ([name, rows]) =>
      `(SELECT count(*) FROM (SELECT ${rows} LIMIT ${MAX_EXACT_TOTAL + 1}) AS counted)::int AS "${name}"`,
  );
  const { rows } = await db.raw<{ rows: Record<keyof Totals, number>[] }>(`SELECT ${counts.join(', ')}`);
  const total = async (name: keyof Totals): Promise<Total> => {
    const count = rows[0]?.[name] ?? 0;
    if (count <= MAX_EXACT_TOTAL) return { count, isEstimate: false };
    return { count: Math.max(count, await estimate(db, COUNTED[name])), isEstimate: true };
  };
  return {
    users: await total('users'),
    liveSessions: await total('liveSessions'),
    serviceAccounts: await total('serviceAccounts'),
  };
}

/** What the planner expects, from `reltuples`, the present size of the table, and the statistics of its columns. */
async function estimate(db: Knex, rowsToCount: string): Promise<number> {
  const { rows } = await db.raw<{ rows: { 'QUERY PLAN': { Plan: { 'Plan Rows': number } }[] }[] }>(
    `EXPLAIN (FORMAT JSON) SELECT ${rowsToCount}`,
  );
  return rows[0]?.['QUERY PLAN'][0]?.Plan['Plan Rows'] ?? 0;
}
