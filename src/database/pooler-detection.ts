import { Client } from 'pg';

import { connectionsOf, type DatabaseAddress } from './database-address.ts';

const CONNECT_TIMEOUT_MS = 1_000;
const LIMIT = 'statement_timeout';

/** What stands between Postern and its database, as far as it can be told from here. */
export type Pooling = 'none' | 'limits-ignored' | 'transaction';

/**
 * Finds out whether a pooler drops the limits that Postern sends when it connects (`limits-ignored`), and whether one
 * lends out server connections for a transaction at a time: two clients then meet on one backend, or one client wanders.
 */
export async function detectPooling(address: DatabaseAddress): Promise<Pooling> {
  const clients = [0, 1].map(
    () =>
      new Client({
        ...connectionsOf(address)[0],
        connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
        [LIMIT]: 2_000,
      }),
  );
  const [one, other] = clients as [Client, Client];
  for (const client of clients) client.on('error', () => undefined);
  try {
    await Promise.all(clients.map((client) => client.connect()));
    const before = await backendOf(one);
    await other.query('BEGIN');
    const otherBackend = await backendOf(other);
    const after = await backendOf(one);
    await other.query('ROLLBACK');
    if (otherBackend === before || after !== before) return 'transaction';
    const { rows } = await one.query<Record<string, string>>(`SHOW ${LIMIT}`);
    return rows[0]?.[LIMIT] === '2s' ? 'none' : 'limits-ignored';
  } finally {
    await Promise.allSettled(clients.map((client) => client.end()));
  }
}

async function backendOf(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid;
}
