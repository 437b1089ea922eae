import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import type { ClientConfig } from 'pg';

import { Backoff } from '../../domain/backoff.ts';
import { withTimeout } from '../../domain/timeout.ts';
import type { DataDirectory } from './data-directory.ts';
import { DataDirectoryError, EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { readOwner } from './owner-marker.ts';
import { claimStaleLock, postmasterOf } from './process-state.ts';
import type { PostgresBinaries } from './locate-binaries.ts';
import { ENVIRONMENT, type RunAs } from './run-as.ts';

const START_LIMIT_MS = 30_000;
const POLL_INTERVAL_MS = 10;
const STOP_LIMIT_MS = 5_000;
/** For the commands that joined this one's server to finish their work. */
const SMART_STOP_LIMIT_MS = 60_000;

/** A small server on a unix socket. Everything that makes a commit durable stays on. */
const SERVER_SETTINGS = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  shared_buffers: '16MB',
  max_connections: '60',
  max_wal_size: '256MB',
  // After a kill, one call instead of an fsync for each of a thousand files.
  recovery_init_sync_method: process.platform === 'linux' ? 'syncfs' : 'fsync',
  // Reads and writes in the process that wants them: three processes fewer.
  io_method: 'sync',
  // From LOG up, without ERROR: a failed statement is the service's to report, and its detail can hold an address.
  log_min_messages: 'log',
  log_checkpoints: 'off',
};

/** A PostgreSQL server that this process started, kept running until it is stopped. */
export class EmbeddedServer {
  readonly #directory: DataDirectory;
  readonly #connection: ClientConfig;
  readonly #command: readonly string[];
  readonly #report: (line: string) => void;
  #child: ChildProcess | undefined;
  #stopping = false;
  /** 100, 200, 400, ... 5000 ms. */
  readonly #backoff = new Backoff({ firstMs: 100, maxMs: 5_000 });

  constructor(options: {
    directory: DataDirectory;
    connection: ClientConfig;
    binaries: PostgresBinaries;
    runAs: RunAs;
    report: (line: string) => void;
  }) {
    const { directory, binaries, runAs } = options;
    const settings = Object.entries({ ...SERVER_SETTINGS, unix_socket_directories: directory.sockets });
    this.#directory = directory;
    this.#connection = options.connection;
    this.#report = options.report;
    this.#command = [
      ...runAs.prefix,
      binaries.postgres,
      '-D',
      directory.cluster,
      ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
  }

  /**
   * Resolves when the server takes connections.
   *
   * @throws EmbeddedPostgresError with the end of its log when it does not start
   */
  async start(): Promise<void> {
    const { cluster, sockets } = this.#directory;
    claimStaleLock(cluster, `${cluster}/postmaster.pid`);
    claimStaleLock(cluster, `${sockets}/.s.PGSQL.${this.#connection.port ?? ''}.lock`);
    const child = this.#spawn();
    const deadlineMs = Date.now() + START_LIMIT_MS;
    while (Date.now() < deadlineMs) {
      // Another process may have been first: only our own child's answer counts.
      const isOurs = child.pid !== undefined && postmasterOf(this.#directory.cluster) === child.pid;
      if (isOurs && (await readOwner(this.#connection)) !== undefined) {
        child.on('exit', () => this.#onExit());
        if (child.exitCode !== null || child.signalCode !== null) this.#onExit();
        return;
      }
      if (child.exitCode !== null || child.signalCode !== null) break;
      await pause(POLL_INTERVAL_MS);
    }
    await this.#end(child, 'SIGQUIT');
    throw new EmbeddedPostgresError(
      `the embedded PostgreSQL did not start. The end of ${this.#directory.log}:\n${this.#endOfLog()}`,
    );
  }

  /** @param signal SIGINT to end clients' work, SIGTERM to wait for them */
  async stop(signal: 'SIGINT' | 'SIGTERM'): Promise<void> {
    this.#stopping = true;
    if (this.#child) await this.#end(this.#child, signal);
  }

  #spawn(): ChildProcess {
    const log = this.#openLog();
    const [program = '', ...options] = this.#command;
    // A session of its own: Ctrl-C at the terminal is for us, and we end the server after its clients.
    const child = spawn(program, options, {
      stdio: ['ignore', log, log],
      detached: true,
      cwd: '/',
      env: ENVIRONMENT,
    });
    closeSync(log);
    child.once('error', (error) =>
      this.#report(`the embedded PostgreSQL cannot be started: ${error.message}`),
    );
    child.unref();
    this.#child = child;
    return child;
  }

  /** Emptied, and never by a link: that could lead to any file that we may write. @throws DataDirectoryError */
  #openLog(): number {
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    try {
      return openSync(this.#directory.log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    } catch (cause) {
      const code = String((cause as NodeJS.ErrnoException).code);
      const says = code === 'ELOOP' ? 'is a symbolic link' : `cannot be written (${code})`;
      throw new DataDirectoryError(`${this.#directory.log} ${says}. Remove it.`, { cause });
    }
  }

  #onExit(): void {
    if (this.#stopping) return;
    const delayMs = this.#backoff.next();
    this.#report(`the embedded PostgreSQL stopped unexpectedly; restarting it in ${delayMs} ms`);
    setTimeout(() => {
      if (this.#stopping) return;
      this.start().then(
        () => this.#backoff.reset(),
        (error: unknown) => {
          this.#report(String(error));
          this.#onExit();
        },
      );
    }, delayMs);
  }

  /** Asks, then insists: every signal is stronger than the one before it. */
  async #end(child: ChildProcess, first: NodeJS.Signals): Promise<void> {
    for (const signal of [first, 'SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill(signal);
      await withTimeout(ended, signal === 'SIGTERM' ? SMART_STOP_LIMIT_MS : STOP_LIMIT_MS, () => undefined);
    }
  }

  #endOfLog(): string {
    try {
      return readFileSync(this.#directory.log, 'utf8').trimEnd().split('\n').slice(-8).join('\n');
    } catch {
      return '(there is none)';
    }
  }
}
