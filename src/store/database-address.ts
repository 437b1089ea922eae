import type { ClientConfig } from 'pg';

/** Where the database is: a `postgres://` URL, or the parts of a connection through a unix socket. */
export type DatabaseAddress =
  | { readonly url: string }
  | { readonly host: string; readonly port: number; readonly user: string; readonly database: string };

/** The address as pg takes it. */
export function connectionOf(address: DatabaseAddress): ClientConfig {
  if (!('url' in address)) return { ...address };
  // Makes sslmode and sslrootcert mean what they mean to psql.
  const asInLibpq = /[?&]sslmode=/.test(address.url) ? '&uselibpqcompat=true' : '';
  return { connectionString: address.url + asInLibpq };
}
