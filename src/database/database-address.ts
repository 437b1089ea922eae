import type { ClientConfig } from 'pg';

import { databaseServers } from '../net/database-url.ts';

/** The address of the database: a `postgres://` URL, or the parts of a connection through a unix socket. */
export type DatabaseAddress =
  | { readonly url: string }
  | { readonly host: string; readonly port: number; readonly user: string; readonly database: string };

/** One pg configuration for each server of the address. */
export function connectionsOf(address: DatabaseAddress): readonly [ClientConfig, ...ClientConfig[]] {
  if (!('url' in address)) return [{ ...address }];
  const [first = address.url, ...others] = databaseServers(address.url);
  return [connectionTo(first), ...others.map(connectionTo)];
}

function connectionTo(url: string): ClientConfig {
  // Makes pg interpret sslmode and sslrootcert as libpq does.
  const libpqOption = /[?&]sslmode=/.test(url) ? '&uselibpqcompat=true' : '';
  return { connectionString: url + libpqOption };
}
