import type { ClientConfig } from 'pg';

import { databaseServers } from '../net/database-url.ts';

/** Where the database is: a `postgres://` URL, or the parts of a connection through a unix socket. */
export type DatabaseAddress =
  | { readonly url: string }
  | { readonly host: string; readonly port: number; readonly user: string; readonly database: string };

/** Every server of the address, as pg takes it. */
export function connectionsOf(address: DatabaseAddress): readonly [ClientConfig, ...ClientConfig[]] {
  if (!('url' in address)) return [{ ...address }];
  const [first = address.url, ...others] = databaseServers(address.url);
  return [connectionTo(first), ...others.map(connectionTo)];
}

function connectionTo(url: string): ClientConfig {
  // Makes sslmode and sslrootcert mean what they mean to psql.
  const asInLibpq = /[?&]sslmode=/.test(url) ? '&uselibpqcompat=true' : '';
  return { connectionString: url + asInLibpq };
}
