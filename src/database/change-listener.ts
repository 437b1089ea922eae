import { setTimeout as pause } from 'node:timers/promises';

import type { Client } from 'pg';

import { Backoff } from '../domain/concurrency/backoff.ts';
import { connectClient } from './connection/connect-client.ts';
import { type DatabaseAddress, type DatabaseServer, serversOf } from './connection/database-address.ts';
import { PrimaryConnector } from './connection/primary-connector.ts';

const CONNECT_TIMEOUT_MS = 1_000;
const PING_EVERY_MS = 5_000;
const PING_TIMEOUT_MS = 2_000;

/** Minimum interval between two notifications of this process. */
const NOTIFY_INTERVAL_MS = 20;

/**
 * A session with this setting notifies others after its commits itself, by `ChangeListener.notify`: the trigger on
 * `revocations` then leaves it to the session. A transaction with NOTIFY holds a lock of the whole server until its commit
 * is on disk, so that revocations would be committed one at a time (D25).
 */
export const NOTIFIES_AFTER_COMMIT = { 'postern.notifies_after_commit': 'on' } as const;

/**
 * Calls `onChange` when keys or revocations have changed in the database, by LISTEN on a dedicated connection. A
 * notification carries no data: the callback reads the tables itself. A lost connection may have lost a notification,
 * so `onChange` is also called when a connection is made or lost, and the reader must poll as well.
 *
 * `notify` tells the listeners of every process, on the same connection.
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
  #notifyRequested = false;
  #isNotifying = false;
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

  /**
   * Notifies every listener, soon: at once, or 20 ms after the notification before. While there is no connection the
   * notification waits for one. One that is lost is made up for by the readers, who poll.
   */
  notify(): void {
    this.#notifyRequested = true;
    if (!this.#isNotifying) void this.#sendNotifications();
  }

  async #sendNotifications(): Promise<void> {
    this.#isNotifying = true;
    while (this.#notifyRequested && this.#client && !this.#stopped) {
      this.#notifyRequested = false;
      const sent = this.#client.query(`SELECT pg_notify('postern_trust', '')`).catch(() => undefined);
      await Promise.all([sent, pause(NOTIFY_INTERVAL_MS, undefined, { ref: false })]);
    }
    this.#isNotifying = false;
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
      if (this.#notifyRequested) this.notify();
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
    const pingTimeout = setTimeout(() => {
      this.#connector.doubt(client);
      this.#abandon(client);
    }, PING_TIMEOUT_MS);
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
