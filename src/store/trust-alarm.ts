import { Client, type ClientConfig } from 'pg';

import type { DatabaseAddress } from './database-address.ts';
import { connectionOf } from './database-address.ts';

const CONNECT_TIMEOUT_MS = 1_000;
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2_000;
const PULSE_EVERY_MS = 5_000;
const PULSE_LIMIT_MS = 2_000;

/**
 * Rings when keys or revocations have changed in the database: a connection of its own that listens. It is only the
 * alarm clock (decision 8): whoever is rung reads for himself, and also reads from time to time without being rung,
 * since a lost connection may have lost an alarm. It rings after every (re)connection for the same reason.
 */
export class TrustAlarm {
  readonly #config: ClientConfig;
  readonly #ring: () => void;
  #client: Client | null = null;
  #timer: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #stopped = false;

  constructor(options: { address: DatabaseAddress; applicationName: string; ring: () => void }) {
    this.#config = {
      ...connectionOf(options.address),
      application_name: options.applicationName,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    };
    this.#ring = options.ring;
  }

  /** Goes on trying until stopped; never throws. */
  start(): void {
    void this.#listen();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = null;
    if (client) drop(client);
  }

  async #listen(): Promise<void> {
    const client = new Client(this.#config);
    this.#client = client;
    const lose = () => {
      if (this.#client !== client) return;
      this.#client = null;
      drop(client);
      this.#ring();
      this.#later(this.#retryMs, () => this.#listen());
      this.#retryMs = Math.min(this.#retryMs * 2, LONGEST_RETRY_MS);
    };
    // Without a listener for `error` a lost connection would end the process (decision 11).
    client.on('error', lose);
    client.on('end', lose);
    client.on('notification', this.#ring);
    try {
      await client.connect();
      await client.query('LISTEN postern_trust');
      this.#retryMs = FIRST_RETRY_MS;
      this.#ring();
      this.#later(PULSE_EVERY_MS, () => this.#feelPulse(client, lose));
    } catch {
      lose();
    }
  }

  /** A connection that died without a word is found out by asking it. */
  async #feelPulse(client: Client, lose: () => void): Promise<void> {
    if (this.#client !== client) return;
    const silent = setTimeout(lose, PULSE_LIMIT_MS);
    try {
      await client.query('SELECT 1');
      this.#later(PULSE_EVERY_MS, () => this.#feelPulse(client, lose));
    } catch {
      lose();
    } finally {
      clearTimeout(silent);
    }
  }

  /** One thing is waited for at any time: the next attempt, or the next pulse. */
  #later(delayMs: number, act: () => Promise<void>): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void act(), delayMs);
  }
}

/** Ending politely would wait for a server that may be frozen; so the socket is closed at once. */
function drop(client: Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
}
