import { randomBytes } from 'node:crypto';

import { Client } from 'pg';

import { Database } from '../../src/database/database.ts';
import { type TestServer, testDatabaseVariable } from './test-server.ts';

export interface TestDatabase {
  readonly url: string;
  readonly database: Database;
  /** Runs one statement without Postern, as an operator or a fault would. */
  query(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  drop(): Promise<void>;
}

/** A database for one test: a clone of the migrated template or of another database, or an empty one. */
export async function createTestDatabase(
  options: { empty?: boolean; copyOf?: TestDatabase } = {},
): Promise<TestDatabase> {
  const server = JSON.parse(process.env[testDatabaseVariable] ?? '') as TestServer;
  const name = `test_${randomBytes(6).toString('hex')}`;
  const { host, port, user, template } = server;
  const asAdmin = async (sql: string) => {
    const client = new Client({ host, port, user, database: 'postgres' });
    await client.connect();
    await client.query(sql).finally(() => client.end());
  };
  const source = options.copyOf && new URL(options.copyOf.url).pathname.slice(1);
  // The source of a copy must not be in use; pools reconnect afterwards.
  if (source !== undefined) {
    await asAdmin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${source}'`);
  }
  await asAdmin(`CREATE DATABASE ${name} TEMPLATE ${options.empty ? 'template0' : (source ?? template)}`);
  const url = `postgres://${user}@localhost:${port}/${name}?host=${encodeURIComponent(host)}`;
  const database = new Database({
    address: { url },
    applicationName: 'test',
    maxConnections: 5,
    warn: () => undefined,
  });
  return {
    url,
    database,
    async query(sql, values = []) {
      const client = new Client({ host, port, user, database: name });
      await client.connect();
      const result = await client.query<Record<string, unknown>>(sql, values).finally(() => client.end());
      return result.rows;
    },
    async drop() {
      await database.close();
      await asAdmin(`DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}
