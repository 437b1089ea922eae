import { loadSettings, type Settings } from '../../config/load-settings.ts';
import type { Database } from '../../database/database.ts';
import { holdsCluster } from '../../database/embedded/data-directory.ts';
import { requireSchema } from '../../database/migrate.ts';
import { openDatabase } from '../../database/open-database.ts';
import { printNotice } from '../output.ts';

const MAX_CONNECTIONS = 2;

/**
 * Opens the database of the service, runs the work and closes the database. A running service is not disturbed, and none
 * is needed.
 *
 * @param needs.schema whether the schema must be one that `serve` accepts. Only a command that works without it may create
 *   an embedded database.
 * @param needs.keys whether the command needs the master key
 */
export async function openDatabaseFor<T>(
  needs: { schema: boolean; keys?: boolean },
  work: (database: Database, settings: Settings) => Promise<T>,
): Promise<T> {
  const settings = loadSettings(undefined, { for: needs.keys ? 'keys' : 'command' });
  const isNew = !settings.production && !holdsCluster(settings.dataDir);
  const opened = await openDatabase({
    databaseUrl: settings.databaseUrl,
    dataDir: settings.dataDir,
    ownerKind: 'command',
    createIfMissing: !needs.schema,
    maxConnections: MAX_CONNECTIONS,
    report: printNotice,
  });
  if (isNew) printNotice(`created an embedded database in ${settings.dataDir}`);
  try {
    if (needs.schema) await requireSchema(opened.database, { allowNewer: settings.migrate === 'auto' });
    return await work(opened.database, settings);
  } finally {
    await opened.close();
  }
}
