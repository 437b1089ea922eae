import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import type { ClientConfig } from 'pg';

import { Backoff } from '../../domain/concurrency/backoff.ts';
import { withTimeout } from '../../domain/concurrency/timeout.ts';
import type { DataDirectory } from './data-directory.ts';
import { DataDirectoryError, EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { readOwner } from './owner-marker.ts';
import { claimStaleLock, postmasterOf } from './process-state.ts';
import type { PostgresBinaries } from './locate-binaries.ts';
import { ENVIRONMENT, type RunAs } from './run-as.ts';

const START_LIMIT_MS = 30_000;
const POLL_INTERVAL_MS = 10;
const STOP_LIMIT_MS = 5_000;
/** How long the owner waits for commands that joined its server to finish. */
const SMART_STOP_LIMIT_MS = 60_000;

/** Settings of a small server on a unix socket. The settings that make commits durable keep their defaults. */
const SERVER_SETTINGS = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  shared_buffers: '16MB',
  max_connections: '60',
  max_wal_size: '256MB',
  // Crash recovery makes one syncfs call instead of an fsync for each of a thousand files.
  recovery_init_sync_method: process.platform === 'linux' ? 'syncfs' : 'fsync',
  // Without I/O workers, which saves three processes.
  io_method: 'sync',
  // LOG and above, which excludes ERROR: the service reports failed statements, and their detail can contain an e-mail
  // address.
  log_min_messages: 'log',
  log_checkpoints: 'off',
};

/** A PostgreSQL server as a child process, restarted when it exits until `stop` is called. */
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
    settings: Readonly<Record<string, string>>;
    report: (line: string) => void;
  }) {
    const { directory, binaries, runAs } = options;
    const settings = Object.entries({
      ...SERVER_SETTINGS,
      ...options.settings,
      unix_socket_directories: directory.sockets,
    });
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
   * Resolves when the server accepts connections.
   *
   * @throws EmbeddedPostgresError with the end of the server's log when it does not start
   */
  async start(): Promise<void> {
    const { cluster, sockets } = this.#directory;
    claimStaleLock(cluster, `${cluster}/postmaster.pid`);
    claimStaleLock(cluster, `${sockets}/.s.PGSQL.${this.#connection.port ?? ''}.lock`);
    const child = this.#spawn();
    const deadlineMs = Date.now() + START_LIMIT_MS;
    while (Date.now() < deadlineMs) {
      // Another process may have started a server first, so an answer counts only when our child is the postmaster.
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

  /** @param signal SIGINT disconnects clients (fast shutdown), SIGTERM waits for them (smart shutdown) */
  async stop(signal: 'SIGINT' | 'SIGTERM'): Promise<void> {
    this.#stopping = true;
    if (this.#child) await this.#end(this.#child, signal);
  }

  #spawn(): ChildProcess {
    const log = this.#openLog();
    const [program = '', ...options] = this.#command;
    // Detached, so that Ctrl-C at the terminal does not reach the server: it is stopped after its clients.
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

  /**
   * Opens and truncates the log. A symbolic link is refused: it could truncate any file that this user can write.
   *
   * @throws DataDirectoryError
   */
  #openLog(): number {
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    try {
      return openSync(this.#directory.log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    } catch (cause) {
      const code = String((cause as NodeJS.ErrnoException).code);
      const fault = code === 'ELOOP' ? 'is a symbolic link' : `cannot be written (${code})`;
      throw new DataDirectoryError(`${this.#directory.log} ${fault}. Remove it.`, { cause });
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

  /** Sends increasingly forceful signals until the child has exited. */
  async #end(child: ChildProcess, firstSignal: NodeJS.Signals): Promise<void> {
    for (const signal of [firstSignal, 'SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
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
      return '(the log cannot be read)';
    }
  }
}
