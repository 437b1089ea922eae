import { Client, type ClientConfig } from 'pg';

import { Backoff } from '../domain/backoff.ts';
import { connectionsOf, type DatabaseAddress } from './database-address.ts';
import { PrimaryConnector } from './primary-connector.ts';

const CONNECT_TIMEOUT_MS = 1_000;
const PING_EVERY_MS = 5_000;
const PING_TIMEOUT_MS = 2_000;

/**
 * Rings when keys or revocations have changed in the database: a connection of its own that listens. It is only the
 * alarm clock: whoever is rung reads for himself, and also reads from time to time without being rung,
 * since a lost connection may have lost an alarm. It rings after every (re)connection for the same reason.
 */
export class ChangeListener {
  readonly #server: PrimaryConnector;
  readonly #config: ClientConfig;
  readonly #onChange: () => void;
  #client: Client | null = null;
  /** Every connection that is being made or lasts. */
  readonly #open = new Set<Client>();
  #timer: NodeJS.Timeout | undefined;
  /** 50, 100, 200, ... 2000 ms. */
  readonly #backoff = new Backoff({ firstMs: 50, maxMs: 2_000 });
  #stopped = false;

  constructor(options: { address: DatabaseAddress; applicationName: string; onChange: () => void }) {
    this.#server = new PrimaryConnector(connectionsOf(options.address));
    this.#config = {
      application_name: options.applicationName,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    };
    this.#onChange = options.onChange;
  }

  /** Goes on trying until stopped; never throws. */
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
      const client = await this.#server.connect((address) => this.#connect(address), destroySocket);
      this.#client = client;
      await client.query('LISTEN postern_trust');
      if (this.#isLost(client)) return;
      this.#backoff.reset();
      this.#onChange();
      this.#schedule(PING_EVERY_MS, () => this.#ping(client));
    } catch {
      if (!this.#client || !this.#abandon(this.#client)) this.#reconnect();
    }
  }

  async #connect(address: ClientConfig): Promise<Client> {
    const client = new Client({ ...address, ...this.#config });
    this.#open.add(client);
    // Without a listener for `error` a lost connection would end the process.
    client.on('error', () => this.#abandon(client));
    client.on('end', () => {
      this.#open.delete(client);
      this.#abandon(client);
    });
    client.on('notification', this.#onChange);
    await client.connect();
    return client;
  }

  #isLost(client: Client): boolean {
    return this.#client !== client;
  }

  /** Gives a connection up and makes another, once. */
  #abandon(client: Client): boolean {
    if (this.#isLost(client)) return false;
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
   * A connection that died without a word is found out by asking it; so is a server that writes no more, which has
   * nothing to tell.
   */
  async #ping(client: Client): Promise<void> {
    if (this.#isLost(client)) return;
    const pingTimeout = setTimeout(() => this.#abandon(client), PING_TIMEOUT_MS);
    try {
      const { rows } = await client.query<{ writes: boolean }>(
        `SELECT current_setting('transaction_read_only') = 'off' AS writes`,
      );
      if (rows[0]?.writes !== true) this.#abandon(client);
      else if (!this.#isLost(client)) this.#schedule(PING_EVERY_MS, () => this.#ping(client));
    } catch {
      this.#abandon(client);
    } finally {
      clearTimeout(pingTimeout);
    }
  }

  /** One thing is waited for at any time: the next attempt, or the next pulse. */
  #schedule(delayMs: number, action: () => Promise<void>): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void action(), delayMs);
  }
}

/** Ending politely would wait for a server that may be frozen; so the socket is closed at once. */
function destroySocket(client: Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}
