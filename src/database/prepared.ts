import type { Knex } from 'knex';

/**
 * A statement that PostgreSQL parses and plans once for each connection, not at each use, which halves what a short one
 * costs. A plan that was made while a table was small is kept until PostgreSQL has looked at the table again, some minutes
 * after a large import: so not for what tells strangers apart by its time (L02), such as who has an e-mail.
 *
 * @param name of this text and no other
 */
export function prepared<Result>(
  db: Knex,
  name: string,
  sql: string,
  bindings: Parameters<typeof db.raw>[1],
): Knex.Raw<Result> {
  return db.raw<Result>(sql, bindings).options({ name });
}
