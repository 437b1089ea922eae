import { Database } from '../../src/database/database.ts';
import type { TestDatabase } from './test-database.ts';

/** A pool of one connection, because prepared statements and cached plans belong to a connection. */
export function oneConnection(store: TestDatabase): Database {
  return new Database({
    address: { url: store.url },
    applicationName: 'one-connection',
    maxConnections: 1,
    warn: () => undefined,
  });
}
