import type { ClientConfig } from 'pg';

import { type DatabaseTls, mayUseTls, parseDatabaseUrl } from '../../net/database-url.ts';

/** The address of the database: a `postgres://` URL, or the parts of a connection through a unix socket. */
export type DatabaseAddress =
  | { readonly url: string }
  | { readonly host: string; readonly port: number; readonly user: string; readonly database: string };

/** One server of the database. */
export interface DatabaseServer {
  readonly host: string;
  readonly port: number;
  /** Null where nothing is encrypted: on a unix socket. */
  readonly tls: DatabaseTls | null;
  /** User, database and what else the driver needs. */
  readonly config: ClientConfig;
}

/** The servers of an address, in order. */
export function serversOf(address: DatabaseAddress): readonly [DatabaseServer, ...DatabaseServer[]] {
  if (!('url' in address)) {
    const { host, port } = address;
    return [{ host, port, tls: null, config: { ...address } }];
  }
  const { hosts, tls, user, password, database, applicationName, options } = parseDatabaseUrl(address.url);
  const server = ({ host, port }: (typeof hosts)[number]): DatabaseServer => ({
    host,
    port,
    tls: mayUseTls({ host, port }) ? tls : null,
    config: {
      host,
      port,
      ...(user !== undefined && { user }),
      ...(password !== undefined && { password }),
      ...(database !== undefined && { database }),
      ...(applicationName !== undefined && { application_name: applicationName }),
      ...(options !== undefined && { options }),
    },
  });
  const [first, ...others] = hosts;
  return [server(first), ...others.map(server)];
}
