import { Database } from '../../src/database/database.ts';
import type { TestDatabase } from './test-database.ts';

/** A pool of one connection, which prepared statements and kept plans belong to. */
export function oneConnection(store: TestDatabase): Database {
  return new Database({
    address: { url: store.url },
    applicationName: 'one-connection',
    maxConnections: 1,
    warn: () => undefined,
  });
}
