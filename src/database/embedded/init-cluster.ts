import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { type DataDirectory, changeOwner } from './data-directory.ts';
import { EmbeddedPostgresError } from './embedded-postgres-error.ts';
import type { PostgresBinaries } from './locate-binaries.ts';
import { isAlive } from './process-state.ts';
import { ENVIRONMENT, type RunAs } from './run-as.ts';

export const SUPERUSER = 'postern';

/** `pgdata.new-<pid>`: a cluster that the process with that id is making. */
const UNFINISHED = /^pgdata\.new-(\d+)$/;

/**
 * Makes the database cluster unless it is there. It is made beside its place and moved there when it is whole, so that
 * a kill in the middle leaves nothing half made, and two first starts agree on one.
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
    const maker = UNFINISHED.exec(name)?.[1];
    // Our own id in a name: of an earlier process, since ids come again.
    const isDead = Number(maker) === process.pid || !isAlive(Number(maker));
    if (maker !== undefined && isDead) rmSync(join(directory.root, name), { recursive: true });
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
  // Only a power cut needs the new files on the disk, so nobody waits for that; a kill does not.
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
