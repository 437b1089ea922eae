import type { Client } from 'pg';

import { Backoff } from '../domain/concurrency/backoff.ts';
import { connectClient } from './connection/connect-client.ts';
import { type DatabaseAddress, type DatabaseServer, serversOf } from './connection/database-address.ts';
import { PrimaryConnector } from './connection/primary-connector.ts';

const CONNECT_TIMEOUT_MS = 1_000;
const PING_EVERY_MS = 5_000;
const PING_TIMEOUT_MS = 2_000;

/**
 * Calls `onChange` when keys or revocations have changed in the database, by LISTEN on a dedicated connection. A
 * notification carries no data: the callback reads the tables itself. A lost connection may have lost a notification,
 * so `onChange` is also called when a connection is made or lost, and the reader must poll as well.
 */
export class ChangeListener {
  readonly #connector: PrimaryConnector<DatabaseServer>;
  readonly #applicationName: string;
  readonly #onChange: () => void;
  #client: Client | null = null;
  /** Connections that are open or being opened. */
  readonly #open = new Set<Client>();
  #timer: NodeJS.Timeout | undefined;
  /** 50, 100, 200, ... 2000 ms. */
  readonly #backoff = new Backoff({ firstMs: 50, maxMs: 2_000 });
  #stopped = false;

  constructor(options: { address: DatabaseAddress; applicationName: string; onChange: () => void }) {
    this.#connector = new PrimaryConnector(serversOf(options.address));
    this.#applicationName = options.applicationName;
    this.#onChange = options.onChange;
  }

  /** Listens, and reconnects after each failure, until `stop`. Never throws. */
  start(): void {
    void this.#listen();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#client = null;
    for (const client of this.#open) destroySocket(client);
  }

  async #listen(): Promise<void> {
    try {
      const client = await this.#connector.connect((server) => this.#connect(server), destroySocket);
      this.#client = client;
      await client.query('LISTEN postern_trust');
      if (this.#isAbandoned(client)) return;
      this.#backoff.reset();
      this.#onChange();
      this.#schedule(PING_EVERY_MS, () => this.#ping(client));
    } catch {
      if (!this.#client || !this.#abandon(this.#client)) this.#reconnect();
    }
  }

  #connect(server: DatabaseServer): Promise<Client> {
    return connectClient(server, {
      limitMs: CONNECT_TIMEOUT_MS,
      applicationName: this.#applicationName,
      prepare: (client) => {
        if (this.#stopped) throw new Error('the listener was stopped');
        this.#open.add(client);
        client.on('error', () => this.#abandon(client));
        client.on('end', () => {
          this.#open.delete(client);
          this.#abandon(client);
        });
        client.on('notification', this.#onChange);
      },
    });
  }

  #isAbandoned(client: Client): boolean {
    return this.#client !== client;
  }

  /** Closes the connection and schedules another. False when it was already abandoned. */
  #abandon(client: Client): boolean {
    if (this.#isAbandoned(client)) return false;
    this.#client = null;
    destroySocket(client);
    this.#reconnect();
    return true;
  }

  #reconnect(): void {
    this.#onChange();
    this.#schedule(this.#backoff.next(), () => this.#listen());
  }

  /**
   * Detects a connection that is dead without a TCP reset, and a server that has become read-only: a standby sends no
   * notifications.
   */
  async #ping(client: Client): Promise<void> {
    if (this.#isAbandoned(client)) return;
    const pingTimeout = setTimeout(() => this.#abandon(client), PING_TIMEOUT_MS);
    try {
      const { rows } = await client.query<{ writes: boolean }>(
        `SELECT current_setting('transaction_read_only') = 'off' AS writes`,
      );
      if (rows[0]?.writes !== true) this.#abandon(client);
      else if (!this.#isAbandoned(client)) this.#schedule(PING_EVERY_MS, () => this.#ping(client));
    } catch {
      this.#abandon(client);
    } finally {
      clearTimeout(pingTimeout);
    }
  }

  /** Replaces the pending timer: there is only ever one, for the next attempt or the next ping. */
  #schedule(delayMs: number, action: () => Promise<void>): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void action(), delayMs);
  }
}

/** `client.end()` would wait for a server that may be frozen, so the socket is closed at once. */
function destroySocket(client: Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}
