import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Database } from '../../src/database/database.ts';
import { openEmbeddedPostgres } from '../../src/database/embedded/open-embedded-postgres.ts';
import { migrate } from '../../src/database/migrate.ts';
import { runningServer, testDatabaseVariable, type TestServer } from './test-server.ts';

const SETTINGS = {
  // A file may run three services, each with a pool, beside those of two other workers.
  max_connections: '300',
  // No test crashes the machine, and a disk that flushes slowly would take most of the time of a run.
  fsync: 'off',
};

/** Starts one PostgreSQL for the whole run, with a migrated template that each test file clones. */
export default async function globalSetup(): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'postern-test-'));
  const embedded = await openEmbeddedPostgres({
    dataDir,
    ownerKind: 'service',
    settings: SETTINGS,
    report: () => undefined,
  });
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
  const server: TestServer = { host, port, user, template: database };
  process.env[testDatabaseVariable] = JSON.stringify(server);
  runningServer.dataDir = dataDir;
  runningServer.stop = () => embedded.stop();
}
