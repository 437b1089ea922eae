import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client } from 'pg';

import type { Issued } from '../support/certificates.ts';
import { toolPath } from './tool.ts';
import { until } from './until.ts';

/** An unprivileged user: PostgreSQL refuses to run as root. */
const NOBODY = 65_534;
const USER = 'postern';

/** Debian's PostgreSQL on a port of its own; `remove` deletes its data. */
export class RunningPostgres {
  readonly port: number;
  readonly #folder: string;
  #encrypted = false;
  #ended: Promise<unknown> = Promise.resolve();
  #stop: (signal: NodeJS.Signals) => void = () => undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
  }

  /**
   * An empty server.
   *
   * @param options.tls its certificate; `options.access` replaces the lines of `pg_hba.conf` for the network
   */
  static async create({ tls, access }: { tls?: Issued; access?: string } = {}): Promise<RunningPostgres> {
    const server = await RunningPostgres.#inNewFolder();
    await run('initdb', '-N', '-D', server.#data, '-U', USER, '-A', 'trust', '-E', 'UTF8');
    if (tls) {
      server.#writeOwned('server.crt', tls.cert);
      server.#writeOwned('server.key', tls.key);
      appendFileSync(join(server.#data, 'postgresql.conf'), '\nssl = on\n');
    }
    // The test itself asks on the same way, whatever the lines are.
    if (access !== undefined) server.#writeOwned('pg_hba.conf', `${access}\n`);
    await server.#start(access?.startsWith('hostssl'));
    return server;
  }

  /** A standby that follows `primary` by streaming, under the name `standby` for `synchronous_standby_names`. */
  static async standbyOf(primary: RunningPostgres): Promise<RunningPostgres> {
    const server = await RunningPostgres.#inNewFolder();
    const from = `host=127.0.0.1 port=${primary.port} user=${USER} application_name=standby`;
    await run('pg_basebackup', '-N', '-c', 'fast', '-R', '-X', 'stream', '-D', server.#data, '-d', from);
    await server.#start();
    return server;
  }

  static async #inNewFolder(): Promise<RunningPostgres> {
    const folder = mkdtempSync(join(tmpdir(), 'postern-postgres-'));
    if (process.getuid?.() === 0) chownSync(folder, NOBODY, NOBODY);
    return new RunningPostgres(folder, await freePort());
  }

  #writeOwned(name: string, text: string): void {
    const path = join(this.#data, name);
    writeFileSync(path, text, { mode: 0o600 });
    if (process.getuid?.() === 0) chownSync(path, NOBODY, NOBODY);
  }

  get #data(): string {
    return join(this.#folder, 'data');
  }

  async #start(encrypted = false): Promise<void> {
    this.#encrypted = encrypted;
    // Without fsync: this machine does not lose power in the middle of a test.
    const options = [
      'fsync=off',
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      'max_connections=60',
    ];
    const words = [...options, 'shared_buffers=16MB', 'log_checkpoints=off'].flatMap((option) => [
      '-c',
      option,
    ]);
    const child = spawn(
      toolPath('postgres'),
      ['-D', this.#data, '-p', String(this.port), ...words],
      asNobody(),
    );
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    this.#ended = once(child, 'close');
    this.#stop = (signal) => void child.kill(signal);
    await until(async () => {
      if (child.exitCode !== null) throw new Error(output);
      await this.query('SELECT 1');
      return true;
    });
  }

  async query(sql: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = new Client({
      host: '127.0.0.1',
      port: this.port,
      user: USER,
      database,
      ssl: this.#encrypted && { rejectUnauthorized: false },
    });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  /** Promotes this server to primary; resolves when it accepts writes. */
  async promote(): Promise<void> {
    await this.query('SELECT pg_promote()');
  }

  /** SIGQUIT: as in a loss of the machine, without notice to clients and without a final checkpoint. */
  async crash(): Promise<void> {
    this.#stop('SIGQUIT');
    await this.#ended;
  }

  async remove(): Promise<void> {
    await this.crash();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Options for a program that must not run as root. */
export const asNobody = () => (process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {});

async function run(program: string, ...words: string[]): Promise<void> {
  const child = spawn(toolPath(program), words, { ...asNobody(), cwd: tmpdir() });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  if (exitCode !== 0) throw new Error(`${program}: ${output}`);
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
