import type { TestDatabase } from './test-database.ts';

/** Resolves when this many statements wait for a lock, or when the call that should wait has been answered. */
export async function untilBlocked(
  database: TestDatabase,
  call: Promise<unknown>,
  statements = 1,
): Promise<void> {
  const state = { answered: false };
  void call.finally(() => (state.answered = true));
  const blocked = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  while (!state.answered && (await database.query(blocked)).length < statements);
}
