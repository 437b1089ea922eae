import type { Knex } from 'knex';

/**
 * A prepared statement: PostgreSQL parses and plans it once per connection, which halves the cost of a short one. A
 * plan made while a table was small stays in use until autovacuum analyses the table, minutes after a large import.
 * Until then its duration can depend on whether a row exists, so do not prepare lookups whose timing must not reveal
 * that: the lookup of a user by e-mail is in a function that fixes its plan (L02).
 *
 * @param name unique to this SQL text
 */
export function prepared<Result>(
  db: Knex,
  name: string,
  sql: string,
  bindings: Parameters<typeof db.raw>[1],
): Knex.Raw<Result> {
  return db.raw<Result>(sql, bindings).options({ name });
}
