/** The part of knex's PostgreSQL client that `pg-client.ts` extends. Knex ships no types for it. */
declare module 'knex/lib/dialects/postgres/index.js' {
  import { Knex } from 'knex';

  export default class PgClient extends Knex.Client {
    _query(connection: unknown, query: unknown): Promise<unknown>;
  }
}
