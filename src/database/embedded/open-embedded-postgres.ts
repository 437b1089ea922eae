import { setTimeout as pause } from 'node:timers/promises';

import { Client, type ClientConfig } from 'pg';

import { changeOwner, prepareDataDirectory } from './data-directory.ts';
import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import { EmbeddedServer } from './embedded-server.ts';
import { OwnerMarker, readOwner } from './owner-marker.ts';
import { initCluster, SUPERUSER } from './init-cluster.ts';
import { locateBinaries } from './locate-binaries.ts';
import { isAlive, postmasterOf } from './process-state.ts';
import { chooseRunAs } from './run-as.ts';

const DATABASE = 'postern';
/** Only part of the socket's name, since nothing listens on TCP. The same for every process. */
const PORT = 5432;
const WAIT_LIMIT_MS = 15_000;
const POLL_INTERVAL_MS = 50;
/** An owner marks its server right after the start, so a server without a marker for this long is an orphan. */
const ORPHAN_AFTER_MS = 1_000;

export interface EmbeddedPostgres {
  /** The configuration for `pg`; the host is the folder of the unix socket. */
  readonly connection: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
    /** Overrides PGSSLMODE: there is no TLS on a unix socket. */
    readonly ssl: false;
  };
  /** True when this call started the server, false when it joined a running one. */
  readonly started: boolean;
  /** Stops the server if this call started it. Idempotent. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  readonly dataDir: string;
  /** A service owns its server alone; a command joins a running server, or starts one for the time of its work. */
  readonly ownerKind: 'service' | 'command';
  /** Settings of PostgreSQL instead of Postern's own, for a server that this call starts. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly report: (line: string) => void;
}

/**
 * Starts or joins the PostgreSQL server of a data directory. File permissions alone control access: there is no TCP
 * port and no password, and only the owner can enter the folder of the socket.
 *
 * @throws NotInstalled when the PostgreSQL programs are missing
 * @throws DataDirectoryError when the data directory cannot be used
 * @throws EmbeddedPostgresError when another service uses the directory, or the server cannot run
 */
export async function openEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { dataDir, ownerKind, settings = {}, report } = options;
  // First, so that nothing is created when PostgreSQL is not installed.
  const binaries = locateBinaries();
  const directory = prepareDataDirectory(dataDir);
  const admin = {
    host: directory.sockets,
    port: PORT,
    user: SUPERUSER,
    database: 'postgres',
    ssl: false,
  } as const;
  const connection = { ...admin, database: DATABASE };

  const canJoin = await waitUntilUsable(directory.cluster, admin, options);
  if (canJoin) return { connection, started: false, stop: () => Promise.resolve() };

  const runAs = chooseRunAs(binaries.postgres, directory.root);
  await initCluster(directory, binaries, runAs);
  // Owned by root even when the server runs as `nobody`, which may enter by its capability: under /tmp no other owner
  // is trusted.
  if (runAs.ownerId !== null) changeOwner(0, directory.sockets);
  const server = new EmbeddedServer({ directory, connection: admin, binaries, runAs, settings, report });
  try {
    await server.start();
  } catch (error) {
    // Another process started a server at the same time, and PostgreSQL's own lock admitted only that one: join it.
    if (postmasterOf(directory.cluster) === null) throw error;
    return openEmbeddedPostgres(options);
  }
  const marker = new OwnerMarker(admin, ownerKind);
  try {
    await marker.create();
    await ensureDatabase(admin);
  } catch (error) {
    await marker.end();
    await server.stop('SIGINT');
    throw error;
  }
  let stopping: Promise<void> | undefined;
  return {
    connection,
    started: true,
    stop() {
      stopping ??= marker.end().then(() => server.stop(ownerKind === 'service' ? 'SIGINT' : 'SIGTERM'));
      return stopping;
    },
  };
}

/**
 * Waits until a running server can be joined or none is left, and stops an orphan.
 *
 * @returns true when there is a server to join, false when this process can start one
 * @throws EmbeddedPostgresError when a service owns the server, or it does not stop in time
 */
async function waitUntilUsable(
  cluster: string,
  admin: ClientConfig,
  { dataDir, ownerKind, report }: EmbeddedOptions,
): Promise<boolean> {
  const startMs = Date.now();
  let hasReported = false;
  let unmarkedSinceMs: number | undefined;
  for (;;) {
    const postmaster = postmasterOf(cluster);
    const owner = await readOwner(admin);
    // A server that answers although its process is not visible runs in another container with the same folder.
    if (postmaster === null && owner === undefined) return false;
    if (owner?.isReady === true && ownerKind === 'command') return true;
    unmarkedSinceMs = owner === null ? (unmarkedSinceMs ?? Date.now()) : undefined;
    // The marker of a service that was just killed remains for some milliseconds.
    const isKilled = owner != null && !isAlive(owner.pid) && Date.now() - startMs < ORPHAN_AFTER_MS;
    if (owner?.kind === 'service' && !isKilled) {
      throw new EmbeddedPostgresError(
        `another Postern service (process ${owner.pid}) uses the data directory ${dataDir}. ` +
          'Stop it, or set POSTERN_DATA_DIR to another folder.',
      );
    }
    if (
      postmaster !== null &&
      unmarkedSinceMs !== undefined &&
      Date.now() - unmarkedSinceMs > ORPHAN_AFTER_MS
    ) {
      report('stopping the embedded PostgreSQL of a service that was killed');
      process.kill(postmaster, 'SIGINT');
      unmarkedSinceMs = undefined;
    }
    if (owner?.kind === 'command' && ownerKind === 'service' && !hasReported) {
      report(`waiting for a postern command (process ${owner.pid}) to end`);
      hasReported = true;
    }
    if (Date.now() - startMs > WAIT_LIMIT_MS) {
      throw new EmbeddedPostgresError(
        `the embedded PostgreSQL (process ${postmaster ?? 'unknown'}) in ${dataDir} is used by another program and did not stop. ` +
          'Stop it, or set POSTERN_DATA_DIR to another folder.',
      );
    }
    await pause(POLL_INTERVAL_MS);
  }
}

async function ensureDatabase(admin: ClientConfig): Promise<void> {
  const client = new Client(admin);
  await client.connect();
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}
