import { setTimeout as pause } from 'node:timers/promises';

import { Client, type ClientConfig } from 'pg';

import { giveTo, prepareDataDirectory } from './data-directory.ts';
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
const LOOK_EVERY_MS = 50;
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
  readonly holder: 'service' | 'command';
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
  const { dataDir, holder, report } = options;
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

  const running = await waitForPlace(directory.cluster, admin, options);
  if (running) return { connection, started: false, stop: () => Promise.resolve() };

  const runAs = chooseRunAs(binaries.postgres, directory.root);
  await initCluster(directory, binaries, runAs);
  // Ours however the server runs: under /tmp no other owner is trusted, and `nobody` runs with leave to enter.
  if (runAs.ownerId !== null) giveTo(0, directory.sockets);
  const server = new EmbeddedServer({ directory, connection: admin, binaries, runAs, report });
  try {
    await server.start();
  } catch (error) {
    // Another process started one at the same moment; PostgreSQL's own lock let only that one in.
    if (postmasterOf(directory.cluster) === null) throw error;
    return openEmbeddedPostgres(options);
  }
  const mark = new OwnerMarker(admin, holder);
  try {
    await mark.make();
    await ensureDatabase(admin);
  } catch (error) {
    await mark.end();
    await server.stop('SIGINT');
    throw error;
  }
  let stopping: Promise<void> | undefined;
  return {
    connection,
    started: true,
    stop() {
      stopping ??= mark.end().then(() => server.stop(holder === 'service' ? 'SIGINT' : 'SIGTERM'));
      return stopping;
    },
  };
}

/** @returns true when there is a server to join, false when the place is free to start one */
async function waitForPlace(
  cluster: string,
  admin: ClientConfig,
  { dataDir, holder, report }: EmbeddedOptions,
): Promise<boolean> {
  const startMs = Date.now();
  let told = false;
  let unmarkedSinceMs: number | undefined;
  for (;;) {
    const postmaster = postmasterOf(cluster);
    const found = await readOwner(admin);
    // A server that answers though its process is not to be seen runs in another container on the same folder.
    if (postmaster === null && found === undefined) return false;
    if (found?.isReady === true && holder === 'command') return true;
    unmarkedSinceMs = found === null ? (unmarkedSinceMs ?? Date.now()) : undefined;
    // The mark of a service killed this moment is still there for some milliseconds.
    const isGone = found != null && !isAlive(found.pid) && Date.now() - startMs < ORPHAN_AFTER_MS;
    if (found?.kind === 'service' && !isGone) {
      throw new EmbeddedPostgresError(
        `another Postern service (process ${found.pid}) uses the data directory ${dataDir}. ` +
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
    if (found?.kind === 'command' && holder === 'service' && !told) {
      report(`waiting for a postern command (process ${found.pid}) to end`);
      told = true;
    }
    if (Date.now() - startMs > WAIT_LIMIT_MS) {
      throw new EmbeddedPostgresError(
        `the embedded PostgreSQL (process ${postmaster ?? 'unknown'}) in ${dataDir} is used by another program and did not stop. ` +
          'Stop it, or set POSTERN_DATA_DIR to another folder.',
      );
    }
    await pause(LOOK_EVERY_MS);
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
