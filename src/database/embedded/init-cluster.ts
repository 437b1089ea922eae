import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { type DataDirectory, changeOwner } from './data-directory.ts';
import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import type { PostgresBinaries } from './locate-binaries.ts';
import { isAlive } from './process-state.ts';
import { ENVIRONMENT, type RunAs } from './run-as.ts';

export const SUPERUSER = 'postern';

/** `pgdata.new-<pid>`: a cluster that the process with that id is creating. */
const UNFINISHED = /^pgdata\.new-(\d+)$/;

/**
 * Creates the database cluster unless it exists. It is created under a temporary name and renamed when complete, so
 * that a killed process leaves no partial cluster, and two processes that start at once end up with the same one.
 *
 * @throws EmbeddedPostgresError when initdb fails
 */
export async function initCluster(
  directory: DataDirectory,
  binaries: PostgresBinaries,
  runAs: RunAs,
): Promise<void> {
  if (existsSync(join(directory.cluster, 'PG_VERSION'))) {
    changeOwner(runAs.ownerId, directory.cluster);
    return;
  }
  for (const name of readdirSync(directory.root)) {
    const creator = UNFINISHED.exec(name)?.[1];
    // Process ids are reused: a folder with our own id is of an earlier process.
    const isDead = Number(creator) === process.pid || !isAlive(Number(creator));
    if (creator !== undefined && isDead) rmSync(join(directory.root, name), { recursive: true });
  }
  const draft = join(directory.root, `pgdata.new-${process.pid}`);
  mkdirSync(draft, { mode: 0o700 });
  changeOwner(runAs.ownerId, draft);
  const options = [
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    `--username=${SUPERUSER}`,
    '--no-instructions',
    '--no-sync',
  ];
  await run([...runAs.prefix, binaries.initdb, ...options, '-D', draft]);
  try {
    renameSync(draft, directory.cluster);
  } catch (cause) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(join(directory.cluster, 'PG_VERSION'))) throw cause;
    return;
  }
  // The sync protects the new files against a power failure only, not against a kill, so it runs in the background.
  run([...runAs.prefix, binaries.initdb, '--sync-only', '-D', directory.cluster]).catch(() => undefined);
}

async function run([program = '', ...options]: readonly string[]): Promise<void> {
  const child = spawn(program, options, {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: '/',
    env: ENVIRONMENT,
  });
  let errors = '';
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const code = await new Promise<number | string | null>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', resolve);
  });
  if (code === 0) return;
  throw new EmbeddedPostgresError(
    `the database cluster could not be created: ${errors.trim() || String(code)}`,
  );
}
