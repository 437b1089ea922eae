// What goes on while patroni.mjs hurts the cluster, and what each of it must find afterwards.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { ownOrigin } from '../../dist/domain/operation-call.js';
import { Database } from '../../dist/database/database.js';
import { purgeExpired } from '../../dist/features/maintenance/purge-expired.js';
import { password } from '../../bench/bench-service.mjs';

/** Answers while PostgreSQL has no leader. */
const NOT_NOW = new Set(['STORE_UNAVAILABLE', 'SERVER_OVERLOADED', 'CONFLICT', 'TRUST_STALE']);
/** Answers of a service that was killed, or of a connection to it. */
const NO_SERVICE = new Set(['UNAVAILABLE', 'CANCELLED', 'SHUTTING_DOWN']);

/** The longest time between two of the moments, ms. */
export function longestGap(times, fromMs, toMs) {
  const sorted = [fromMs, ...times.filter((ms) => ms > fromMs && ms < toMs).sort((a, b) => a - b), toMs];
  return Math.max(...sorted.slice(1).map((ms, index) => ms - sorted[index]));
}

/**
 * Writes to the leader without Postern, twenty times a second: how long PostgreSQL itself takes no writes, and whether it
 * keeps what it acknowledged.
 */
export class LeaderProbe {
  writtenAtMs = [];
  #cluster;
  #client = null;
  #failedPort = 0;
  #acknowledged = [];

  constructor(cluster) {
    this.#cluster = cluster;
  }

  async prepare() {
    await this.#cluster.query(
      await this.#cluster.leader(),
      'CREATE TABLE probe (id uuid PRIMARY KEY)',
      [],
      'rig',
    );
  }

  async run(isOver) {
    this.writtenAtMs = [];
    while (!isOver()) {
      try {
        this.#client ??= await this.#connectToLeader();
        await this.write(this.#client);
        this.writtenAtMs.push(performance.now());
      } catch {
        this.#failedPort = this.#client?.port ?? this.#failedPort;
        this.#client?.connection.stream.destroy();
        this.#client = null;
      }
      await pause(50);
    }
    this.#client?.connection.stream.destroy();
    this.#client = null;
  }

  /** Another one than that which failed, if there is one: an old leader may still say that it accepts writes. */
  async #connectToLeader() {
    const isFailed = ({ port }) => port === this.#failedPort;
    const others = this.#cluster.nodes.filter((node) => !isFailed(node)).map((node) => this.connect(node));
    return Promise.any(others).catch(() => this.connect(this.#cluster.nodes.find(isFailed)));
  }

  async connect({ port }) {
    const limits = { connectionTimeoutMillis: 500, query_timeout: 1_000 };
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'postern', database: 'rig', ...limits });
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query('SHOW transaction_read_only');
      if (rows[0].transaction_read_only !== 'off') throw new Error('a standby');
    } catch (error) {
      client.connection.stream.destroy();
      throw error;
    }
    return client;
  }

  async write(client) {
    const id = randomUUID();
    await client.query('INSERT INTO probe (id) VALUES ($1)', [id]);
    this.#acknowledged.push(id);
  }

  /** @returns how many acknowledged rows are not there */
  async lost() {
    const leader = await this.#cluster.leader();
    const missing = 'SELECT id FROM unnest($1::uuid[]) AS id WHERE id NOT IN (SELECT id FROM probe)';
    return (await this.#cluster.query(leader, missing, [this.#acknowledged], 'rig')).length;
  }
}

/** Asks everybody who verifies, without a break, for tokens that are valid and tokens that were revoked. */
export class Verifiers {
  counts = {};
  slowestMs = 0;
  /** Revoked tokens that `endpoints` refused once, each. */
  #refused = new Map();
  #endpoints;
  #fault;

  /** @param endpoints functions by name: the process to ask, which may be another after a restart */
  constructor(endpoints, fault) {
    this.#endpoints = endpoints;
    this.#fault = fault;
    for (const name of Object.keys(endpoints)) this.#refused.set(name, new Set());
  }

  /**
   * @param valid tokens that must be accepted
   * @param revoked tokens whose revocation was acknowledged; the list may grow
   * @param mayBeAway names of processes that are killed
   * @param rotates whether signing keys become active at once: until a process has read such a key, it refuses the tokens
   */
  async run({ valid, revoked, mayBeAway, rotates }, isOver) {
    const ask = async (name) => {
      while (!isOver()) {
        for (const token of valid) {
          const verdict = await this.#ask(name, token);
          if (verdict !== 'OK' && !(NO_SERVICE.has(verdict) && mayBeAway.has(name)))
            this.#fault(`${name}: VerifyToken of a valid token: ${verdict}`);
        }
        const token = revoked[Math.floor(Math.random() * revoked.length)];
        if (token !== undefined) await this.#askRevoked(name, token, { mayBeAway, rotates });
        await pause(20);
      }
    };
    await Promise.all(Object.keys(this.#endpoints).map(ask));
  }

  async #ask(name, token) {
    const startMs = performance.now();
    const { verdict } = await this.#endpoints[name]().call('VerifyToken', { access_token: token });
    if (verdict === 'OK') this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
    const key = `${name} ${verdict}`;
    this.counts[key] = (this.counts[key] ?? 0) + 1;
    return verdict;
  }

  async #askRevoked(name, token, { mayBeAway, rotates }) {
    const refused = this.#refused.get(name);
    const verdict = await this.#ask(name, token);
    if (verdict === 'TOKEN_REVOKED') refused.add(token);
    else if (verdict === 'OK' && refused.has(token)) this.#fault(`${name}: a revoked token was revived`);
    else if (verdict === 'TOKEN_KEY_UNKNOWN' && rotates && !refused.has(token)) return;
    else if (verdict !== 'OK' && !(NO_SERVICE.has(verdict) && mayBeAway.has(name)))
      this.#fault(`${name}: VerifyToken of a revoked token: ${verdict}`);
  }

  /** Each revoked token is refused by everybody, within a second of the first question. */
  async settle(revoked) {
    const settleOne = async (name) => {
      const endMs = performance.now() + 1_000;
      for (const token of revoked) {
        let verdict;
        do verdict = await this.#ask(name, token);
        while (verdict !== 'TOKEN_REVOKED' && performance.now() < endMs);
        if (verdict !== 'TOKEN_REVOKED') this.#fault(`${name}: a revocation is not known: ${verdict}`);
      }
    };
    await Promise.all(Object.keys(this.#endpoints).map(settleOne));
  }
}

/** An administrator who makes users, disables every second one and, if asked to, rotates signing keys. */
export class Administrator {
  #service;
  #fault;
  #users = [];
  #keys = [];
  #token = '';

  constructor(service, fault) {
    this.#service = service;
    this.#fault = fault;
  }

  async logIn(email) {
    const { verdict, response } = await this.#service().call('Login', { email, password });
    if (verdict !== 'OK') throw new Error(`the administrator's login: ${verdict}`);
    this.#token = response.access_token;
  }

  async run({ rotates, mayLoseService }, isOver) {
    while (!isOver()) {
      const email = `user-${randomUUID()}@example.com`;
      const user = await this.#call('CreateUser', { email, roles: ['reader'] }, mayLoseService);
      if (user) {
        const made = { id: user.id, disabled: false };
        this.#users.push(made);
        if (this.#users.length % 2 === 0) {
          const change = { user_id: user.id, disabled: true };
          made.disabled = (await this.#call('UpdateUser', change, mayLoseService)) !== undefined;
        }
      }
      if (rotates) {
        const key = await this.#call('RotateSigningKey', { now: true }, mayLoseService);
        if (key) this.#keys.push(key.kid);
      }
      await pause(rotates ? 300 : 50);
    }
  }

  async #call(method, request, mayLoseService) {
    const { verdict, response } = await this.#service().call(`AdminService/${method}`, request, this.#token);
    if (verdict !== 'OK' && !NOT_NOW.has(verdict) && !(mayLoseService && NO_SERVICE.has(verdict)))
      this.#fault(`${method}: ${verdict}`);
    return response;
  }

  /** Users as they were acknowledged, each change once in the audit trail; one active key, and none of those made lost. */
  async settle(query) {
    const rows = await query(
      `SELECT u.id, u.disabled_at IS NOT NULL AS disabled,
              (SELECT count(*)::int FROM audit_events WHERE target_id = u.id::text AND action = 'user.create') AS made,
              (SELECT count(*)::int FROM audit_events WHERE target_id = u.id::text AND action IN ('user.update', 'user.disable')
                 AND outcome <> 'refused') AS ends
       FROM users u`,
    );
    const stored = new Map(rows.map((row) => [row.id, row]));
    for (const { id, disabled } of this.#users) {
      const row = stored.get(id);
      if (!row) this.#fault(`user ${id}: an acknowledged user is lost`);
      else if (disabled && !row.disabled) this.#fault(`user ${id}: an acknowledged disabling is lost`);
      else if (row.made !== 1 || row.ends !== (row.disabled ? 1 : 0))
        this.#fault(`user ${id}: ${row.made} and ${row.ends} events in the audit trail`);
    }
    const keys = await query('SELECT kid, state FROM signing_keys');
    const known = new Set(keys.map(({ kid }) => kid));
    for (const kid of this.#keys) if (!known.has(kid)) this.#fault(`an acknowledged signing key is lost`);
    const active = keys.filter(({ state }) => state === 'active');
    if (active.length !== 1) this.#fault(`${active.length} active signing keys`);
    return { users: this.#users.length, keys: this.#keys.length };
  }
}

/** Expired revocations that a purge deletes, batch by batch, while the leader changes. */
export class Purge {
  #cluster;

  constructor(cluster) {
    this.#cluster = cluster;
  }

  async run(isOver) {
    const rows = `INSERT INTO revocations (kind, id, expires_at)
      SELECT 'jti', gen_random_uuid()::text, now() - interval '1 hour' FROM generate_series(1, 20000)`;
    const options = { applicationName: 'purge', maxConnections: 1, warn: () => undefined };
    const database = new Database({ address: { url: this.#cluster.url() }, ...options });
    const stop = new globalThis.AbortController();
    const call = { signal: stop.signal, origin: ownOrigin };
    while (!isOver()) {
      await this.#cluster.query(await this.#cluster.leader(), rows).catch(() => undefined);
      await purgeExpired({ database }, call).catch(() => pause(100));
    }
    await purgeExpired({ database }, call);
    await database.close();
  }
}
