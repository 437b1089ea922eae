import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client, type ClientConfig } from 'pg';

import { Database } from '../../src/database/database.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded/open-embedded-postgres.ts';
import { migrate } from '../../src/database/migrate.ts';
import { runningServer, testDatabaseVariable, type TestServer } from './test-server.ts';

/** Starts one PostgreSQL for the whole run, with a migrated template that each test file clones. */
export default async function globalSetup(): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'postern-test-'));
  const embedded = await openEmbeddedPostgres({ dataDir, ownerKind: 'service', report: () => undefined });
  const { host, port, user, database } = embedded.connection;
  const admin = new Database({
    address: embedded.connection,
    applicationName: 'postern test setup',
    maxConnections: 1,
    warn: () => undefined,
  });
  await admin.unlimited((trx) => trx.raw('SELECT 1'));
  await migrate(admin);
  await admin.close();
  await withoutFlushes(embedded.connection);
  const server: TestServer = { host, port, user, template: database };
  process.env[testDatabaseVariable] = JSON.stringify(server);
  runningServer.dataDir = dataDir;
  runningServer.stop = () => embedded.stop();
}

/** No test crashes the machine, and a disk that flushes slowly would take most of the time of a run. */
async function withoutFlushes(connection: ClientConfig): Promise<void> {
  const client = new Client(connection);
  await client.connect();
  try {
    await client.query('ALTER SYSTEM SET fsync = off');
    await client.query('SELECT pg_reload_conf()');
  } finally {
    await client.end();
  }
}
