import { Client, type ClientConfig } from 'pg';

/** Who keeps an embedded server running. */
export interface Owner {
  readonly kind: 'service' | 'command';
  readonly pid: number;
  /** Whether the database is made, too: on the very first start that comes a moment later. */
  readonly isReady: boolean;
}

const NAME = /^postern holder (service|command) (\d+)$/;
const RECONNECT_MS = 100;

/**
 * Marks this process as the one that the server belongs to, by a connection whose name says so. The mark ends with
 * the process, however it ends; it is made again when only the connection was lost.
 */
export class OwnerMarker {
  readonly #connection: ClientConfig;
  #client: Client | undefined;
  #ended = false;

  constructor(connection: ClientConfig, kind: Owner['kind']) {
    this.#connection = {
      ...connection,
      application_name: `postern holder ${kind} ${process.pid}`,
      keepAlive: true,
    };
  }

  async create(): Promise<void> {
    const client = new Client(this.#connection);
    client.on('error', () => undefined);
    client.on('end', () => this.#recreate());
    this.#client = client;
    await client.connect();
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#client?.end().catch(() => undefined);
  }

  #recreate(): void {
    if (this.#ended) return;
    setTimeout(() => {
      if (!this.#ended) this.create().catch(() => undefined);
    }, RECONNECT_MS).unref();
  }
}

/** @returns what a running server answers: its holder, null for none; undefined when it takes no connections */
export async function readOwner(connection: ClientConfig): Promise<Owner | null | undefined> {
  const client = new Client({ ...connection, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ application_name: string; is_ready: boolean }>(
      `SELECT application_name, EXISTS (SELECT FROM pg_database WHERE datname = 'postern') AS is_ready
       FROM pg_stat_activity WHERE application_name LIKE 'postern holder %'`,
    );
    const [, kind, pid] = NAME.exec(rows[0]?.application_name ?? '') ?? [];
    return kind === undefined
      ? null
      : { kind: kind as Owner['kind'], pid: Number(pid), isReady: rows[0]?.is_ready === true };
  } catch {
    return undefined;
  } finally {
    await client.end().catch(() => undefined);
  }
}
