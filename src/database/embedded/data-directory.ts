import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

import { UntrustedPath, requireTrustedPath } from '../../domain/trusted-path.ts';
import { DataDirectoryError } from './embedded-postgres-error.ts';

/** The paths of an embedded database. */
export interface DataDirectory {
  readonly root: string;
  readonly cluster: string;
  readonly log: string;
  /** The folder of the unix socket, mode 0700: whoever can enter it is superuser of the database. */
  readonly sockets: string;
}

/** The user `nobody` on Linux. Root runs PostgreSQL as this user where user namespaces are not available. */
export const UNPRIVILEGED_ID = 65_534;

/** `sun_path` holds 107 bytes; PostgreSQL adds `/.s.PGSQL.5432.lock`. */
const MAX_SOCKET_FOLDER_BYTES = 107 - '/.s.PGSQL.5432.lock'.length;

/**
 * Creates the folders with mode 0700 and returns their paths.
 *
 * @throws DataDirectoryError when a folder cannot be created or used safely
 */
export function prepareDataDirectory(dataDir: string): DataDirectory {
  let root = resolve(dataDir);
  try {
    makeFolder(root);
    // Resolved, so that a command that is given a symbolic link to the directory finds the running server.
    requireTrustedPath(root, 'anyone');
    root = realpathSync(root);
  } catch (cause) {
    throw unusableError(root, cause);
  }
  const cluster = join(root, 'pgdata');
  requireOwnEntry(cluster);
  const sockets = socketFolder(root);
  try {
    makeFolder(sockets);
    requireOwnFolder(sockets, root);
    chmodSync(sockets, 0o700);
  } catch (cause) {
    if (cause instanceof DataDirectoryError) throw cause;
    throw unusableError(root, cause);
  }
  return { root, cluster, log: join(root, 'postgres.log'), sockets };
}

/**
 * Creates a folder and its missing parents with mode 0700. Node's recursive `mkdirSync` is not used, because it never
 * returns below a folder that accepts no entries, such as /proc.
 */
export function makeFolder(path: string): void {
  const folders = [path];
  for (let parent = dirname(path); !existsSync(parent); parent = dirname(parent)) folders.unshift(parent);
  for (const folder of folders) {
    try {
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      const exists = (error as NodeJS.ErrnoException).code === 'EEXIST' && statSync(folder).isDirectory();
      if (!exists) throw error;
    }
  }
}

/** Whether the data directory contains a database cluster. */
export function holdsCluster(dataDir: string): boolean {
  return existsSync(join(dataDir, 'pgdata', 'PG_VERSION'));
}

/**
 * Why a database cannot be created there; null when it can. The check creates a folder and removes it again, because
 * permissions alone do not show that a folder accepts no entries, such as /proc.
 */
export function dataDirectoryFault(dataDir: string): Error | null {
  const wanted = resolve(dataDir);
  let existing = wanted;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  try {
    if (existing === wanted) requireTrustedPath(existing, 'anyone');
    const probe = mkdtempSync(join(existing, '.postern-'));
    try {
      // A directory that does not exist yet is judged by its parents.
      requireTrustedPath(probe, 'anyone');
    } finally {
      rmdirSync(probe);
    }
    return null;
  } catch (cause) {
    return unusableError(wanted, cause);
  }
}

function unusableError(root: string, cause: unknown): DataDirectoryError {
  if (cause instanceof UntrustedPath) {
    return new DataDirectoryError(`the data directory ${root} cannot be used: ${cause.message}.`, { cause });
  }
  return new DataDirectoryError(
    `the data directory ${root} cannot be used (${String((cause as NodeJS.ErrnoException).code)}). ` +
      'Set POSTERN_DATA_DIR to a folder that this user can write to.',
    { cause },
  );
}

/**
 * Changes the owner of a path and, for a folder, of its content; does nothing when the path has that owner or `ownerId`
 * is null.
 */
export function changeOwner(ownerId: number | null, path: string): void {
  if (ownerId === null || lstatSync(path).uid === ownerId) return;
  if (lstatSync(path).isDirectory()) {
    for (const entry of readdirSync(path)) changeOwner(ownerId, join(path, entry));
  }
  lchownSync(path, ownerId, ownerId);
}

function socketFolder(root: string): string {
  const inDataDirectory = join(root, 'run');
  if (Buffer.byteLength(inDataDirectory) <= MAX_SOCKET_FOLDER_BYTES) return inDataDirectory;
  const digest = createHash('sha256').update(root).digest('hex').slice(0, 16);
  return join(tmpdir(), `postern-${process.getuid?.() ?? 0}-${digest}`);
}

/**
 * Rejects a cluster that another user may have placed in the data directory before its mode was 0700. For root, the
 * cluster must belong to root or to the user as whom root runs PostgreSQL. A symbolic link would lead out of the
 * directory.
 */
function requireOwnEntry(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isSymbolicLink())
    throw new DataDirectoryError(
      `${path} is a symbolic link. Set POSTERN_DATA_DIR to the folder that contains the data.`,
    );
  if (process.getuid?.() === 0 && ![0, UNPRIVILEGED_ID].includes(found.uid))
    throw new DataDirectoryError(
      `${path} belongs to user ${found.uid}. Start Postern as that user, or make root its owner.`,
    );
}

/**
 * Rejects a socket folder of another user, who could run a server of their own behind the socket. Under /tmp anybody
 * can create the folder first, so even root accepts only its own there. Inside the data directory the folder may belong
 * to the user as whom root runs PostgreSQL.
 */
function requireOwnFolder(path: string, root: string): void {
  const { uid: owner } = lstatSync(path);
  const self = process.getuid?.() ?? owner;
  const isTrusted =
    owner === self || (self === 0 && owner === UNPRIVILEGED_ID && path.startsWith(`${root}/`));
  if (lstatSync(path).isDirectory() && isTrusted) return;
  throw new DataDirectoryError(`${path} belongs to another user. Remove it, or set POSTERN_DATA_DIR.`);
}
