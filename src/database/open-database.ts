import type { Secret } from '../domain/secret.ts';
import type { DatabaseAddress } from './database-address.ts';
import { dataDirectoryFault, holdsCluster } from './embedded/data-directory.ts';
import { NoDataYet } from './embedded/embedded-postgres-error.ts';
import { Database, type DatabaseOptions } from './database.ts';

export interface OpenedDatabase {
  readonly database: Database;
  /** For further connections beside the pool. */
  readonly address: DatabaseAddress;
  /** Closes the pool, and ends the embedded server when this process started it. */
  close(): Promise<void>;
}

/**
 * The one way to the database for services and commands: the server of `DATABASE_URL`, or the embedded one, started
 * here or joined where it runs.
 *
 * @throws NoDataYet, NotInstalled, DataDirectoryError, EmbeddedPostgresError of the embedded one
 */
export async function openDatabase(options: {
  databaseUrl: Secret | null;
  dataDir: string;
  ownerKind: 'service' | 'command';
  /** Whether an embedded database may be made where there is none. */
  createIfMissing: boolean;
  maxConnections: number;
  /** Told of what becomes of the embedded server. */
  report: (line: string) => void;
  /** Told of faults of connections; whoever only waits for one answer hears of them by its error. */
  warn?: DatabaseOptions['warn'];
  circuit?: DatabaseOptions['circuit'];
  tracer?: DatabaseOptions['tracer'];
}): Promise<OpenedDatabase> {
  const { databaseUrl, dataDir, ownerKind, maxConnections, report } = options;
  const pool = {
    applicationName: `postern ${ownerKind} ${process.pid}`,
    maxConnections,
    warn: options.warn ?? (() => undefined),
    ...(options.circuit && { circuit: options.circuit }),
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
