import type { Client } from 'pg';

import { connectClient } from './connect-client.ts';
import { type DatabaseAddress, serversOf } from './database-address.ts';
import { PrimaryConnector } from './primary-connector.ts';

const CONNECT_TIMEOUT_MS = 1_000;

/** The connection pooling between Postern and its database, as far as a client can detect it. */
export type Pooling = 'none' | 'transaction';

/**
 * Detects a pooler that pools by transaction: then two clients share a backend, or one client changes its backend.
 *
 * @throws the error of pg when no connection can be made
 */
export async function detectPooling(address: DatabaseAddress): Promise<Pooling> {
  const connector = new PrimaryConnector(serversOf(address));
  const close = (client: Client) => void client.end().catch(() => undefined);
  const connect = () =>
    connector.connect((server) => connectClient(server, { limitMs: CONNECT_TIMEOUT_MS }), close);
  const first = await connect();
  const second = await connect().catch((error: unknown) => {
    close(first);
    throw error;
  });
  try {
    const before = await backendOf(first);
    await second.query('BEGIN');
    const secondBackend = await backendOf(second);
    const after = await backendOf(first);
    await second.query('ROLLBACK');
    return secondBackend === before || after !== before ? 'transaction' : 'none';
  } finally {
    await Promise.allSettled([first.end(), second.end()]);
  }
}

async function backendOf(client: Client): Promise<number | undefined> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid;
}
