import type { Secret } from '../domain/secret.ts';
import type { DatabaseAddress } from './connection/database-address.ts';
import { dataDirectoryFault, holdsCluster } from './embedded/data-directory.ts';
import { NoDataYet } from './embedded/embedded-postgres-error.ts';
import { Database, type DatabaseOptions } from './database.ts';

export interface OpenedDatabase {
  readonly database: Database;
  /** For connections outside the pool, such as a `ChangeListener`. */
  readonly address: DatabaseAddress;
  /** Closes the pool, and ends the embedded server when this process started it. */
  close(): Promise<void>;
}

/**
 * Opens the database of a service or command: the server at `DATABASE_URL`, or else the embedded one, which is started,
 * or joined when it is already running. `DATABASE_URL` is not contacted before the first query.
 *
 * @throws NoDataYet, NotInstalled, DataDirectoryError or EmbeddedPostgresError, for the embedded database only
 */
export async function openDatabase(options: {
  databaseUrl: Secret | null;
  dataDir: string;
  ownerKind: 'service' | 'command';
  /** Whether to create the embedded database when it does not exist. */
  createIfMissing: boolean;
  maxConnections: number;
  /** Receives messages about the embedded server, such as its restart. */
  report: (line: string) => void;
  /** Receives connection faults. A command can do without: its failed query reports the fault. */
  warn?: DatabaseOptions['warn'];
  circuit?: DatabaseOptions['circuit'];
  session?: DatabaseOptions['session'];
  tracer?: DatabaseOptions['tracer'];
}): Promise<OpenedDatabase> {
  const { databaseUrl, dataDir, ownerKind, maxConnections, report } = options;
  const pool = {
    applicationName: `postern ${ownerKind} ${process.pid}`,
    maxConnections,
    warn: options.warn ?? (() => undefined),
    ...(options.circuit && { circuit: options.circuit }),
    ...(options.session && { session: options.session }),
    tracer: options.tracer,
  };
  if (databaseUrl !== null) {
    const address = { url: databaseUrl.reveal() };
    const database = new Database({ ...pool, address });
    return { database, address, close: () => database.close() };
  }
  if (!options.createIfMissing && !holdsCluster(dataDir))
    throw dataDirectoryFault(dataDir) ?? new NoDataYet(dataDir);
  const { openEmbeddedPostgres } = await import('./embedded/open-embedded-postgres.ts');
  const embedded = await openEmbeddedPostgres({ dataDir, ownerKind, report });
  const database = new Database({ ...pool, address: embedded.connection });
  return {
    database,
    address: embedded.connection,
    async close() {
      await database.close();
      await embedded.stop();
    },
  };
}
