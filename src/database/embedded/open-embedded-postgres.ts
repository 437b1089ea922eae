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
/** The socket is in a folder of its own, so the number only has to be the same everywhere. */
const PORT = 5432;
const WAIT_LIMIT_MS = 15_000;
const POLL_INTERVAL_MS = 50;
/** A service that has just started its server marks it within moments; one without a mark for this long is an orphan. */
const ORPHAN_AFTER_MS = 1_000;

export interface EmbeddedPostgres {
  /** How `pg` connects: the folder of a unix socket as host. */
  readonly connection: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
    /** Not even where PGSSLMODE asks for it: a unix socket has none. */
    readonly ssl: false;
  };
  /** Whether this call started the server, or joined one that runs. */
  readonly started: boolean;
  /** Ends a server that this call started; may be called again. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  readonly dataDir: string;
  /** A service owns the server while it lives; a command joins it, or starts one for as long as it works. */
  readonly ownerKind: 'service' | 'command';
  readonly report: (line: string) => void;
}

/**
 * The PostgreSQL in a data directory. Access is a matter of file permissions alone: there is no port and no password,
 * and only the owner enters the folder of the socket.
 *
 * @throws NotInstalled
 * @throws EmbeddedPostgresError when another service uses the directory, or the server cannot run
 */
export async function openEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { dataDir, ownerKind, report } = options;
  // Before anything is made: without a PostgreSQL nothing may be left behind.
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

  const running = await waitUntilFree(directory.cluster, admin, options);
  if (running) return { connection, started: false, stop: () => Promise.resolve() };

  const runAs = chooseRunAs(binaries.postgres, directory.root);
  await initCluster(directory, binaries, runAs);
  // Ours however the server runs: under /tmp no other owner is trusted, and `nobody` runs with leave to enter.
  if (runAs.ownerId !== null) changeOwner(0, directory.sockets);
  const server = new EmbeddedServer({ directory, connection: admin, binaries, runAs, report });
  try {
    await server.start();
  } catch (error) {
    // Another process started one at the same moment; PostgreSQL's own lock let only that one in.
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

/** @returns true when there is a server to join, false when the place is free to start one */
async function waitUntilFree(
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
    // A server that answers though its process is not to be seen runs in another container on the same folder.
    if (postmaster === null && owner === undefined) return false;
    if (owner?.isReady === true && ownerKind === 'command') return true;
    unmarkedSinceMs = owner === null ? (unmarkedSinceMs ?? Date.now()) : undefined;
    // The mark of a service killed this moment is still there for some milliseconds.
    const isGone = owner != null && !isAlive(owner.pid) && Date.now() - startMs < ORPHAN_AFTER_MS;
    if (owner?.kind === 'service' && !isGone) {
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
