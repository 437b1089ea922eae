import { Client } from 'pg';

import { connectionsOf, type DatabaseAddress } from './database-address.ts';

const CONNECT_TIMEOUT_MS = 1_000;
const LIMIT = 'statement_timeout';

/** The connection pooling between Postern and its database, as far as a client can detect it. */
export type Pooling = 'none' | 'limits-ignored' | 'transaction';

/**
 * Detects a pooler that ignores the limits in Postern's startup parameters (`limits-ignored`), or that pools by
 * transaction (`transaction`): then two clients share a backend, or one client changes its backend.
 *
 * @throws the error of pg when no connection can be made
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
  const [first, second] = clients as [Client, Client];
  for (const client of clients) client.on('error', () => undefined);
  try {
    await Promise.all(clients.map((client) => client.connect()));
    const before = await backendOf(first);
    await second.query('BEGIN');
    const secondBackend = await backendOf(second);
    const after = await backendOf(first);
    await second.query('ROLLBACK');
    if (secondBackend === before || after !== before) return 'transaction';
    const { rows } = await first.query<Record<string, string>>(`SHOW ${LIMIT}`);
    return rows[0]?.[LIMIT] === '2s' ? 'none' : 'limits-ignored';
  } finally {
    await Promise.allSettled(clients.map((client) => client.end()));
  }
}

async function backendOf(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid;
}
