import { Client, type ClientConfig } from 'pg';

/** The process that started an embedded server and keeps it running. */
export interface Owner {
  readonly kind: 'service' | 'command';
  readonly pid: number;
  /** Whether the database exists. On the first start it is created shortly after the server accepts connections. */
  readonly isReady: boolean;
}

const APPLICATION_NAME = /^postern holder (service|command) (\d+)$/;
const RECONNECT_MS = 100;

/**
 * Marks this process as the owner of the server, by a connection with an `application_name` that other processes read.
 * The marker disappears when the process exits for any reason. It is created again when only the connection was lost.
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

/** @returns the owner of the server, null when it has none, undefined when the server accepts no connections */
export async function readOwner(connection: ClientConfig): Promise<Owner | null | undefined> {
  const client = new Client({ ...connection, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ application_name: string; is_ready: boolean }>(
      `SELECT application_name, EXISTS (SELECT FROM pg_database WHERE datname = 'postern') AS is_ready
       FROM pg_stat_activity WHERE application_name LIKE 'postern holder %'`,
    );
    const [, kind, pid] = APPLICATION_NAME.exec(rows[0]?.application_name ?? '') ?? [];
    return kind === undefined
      ? null
      : { kind: kind as Owner['kind'], pid: Number(pid), isReady: rows[0]?.is_ready === true };
  } catch {
    return undefined;
  } finally {
    await client.end().catch(() => undefined);
  }
}
