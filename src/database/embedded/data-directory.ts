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

/** Where everything of an embedded database lies. */
export interface DataDirectory {
  readonly root: string;
  readonly cluster: string;
  readonly log: string;
  /** Holds the unix socket; whoever may enter it is the database's superuser, so nobody else may. */
  readonly sockets: string;
}

/** `nobody`, on every Linux: as whom root runs PostgreSQL where it cannot be root in a namespace. */
export const UNPRIVILEGED_ID = 65_534;

/** `sun_path` holds 107 bytes; PostgreSQL adds `/.s.PGSQL.5432.lock`. */
const MAX_SOCKET_FOLDER_BYTES = 107 - '/.s.PGSQL.5432.lock'.length;

/** Makes the folders, closed to everybody else, and says where they are. */
export function prepareDataDirectory(dataDir: string): DataDirectory {
  let root = resolve(dataDir);
  try {
    makeFolder(root);
    // One name for one directory: a command that comes through a symbolic link has to find the running server.
    requireTrustedPath(root, 'anyone');
    root = realpathSync(root);
  } catch (cause) {
    throw unusable(root, cause);
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
    throw unusable(root, cause);
  }
  return { root, cluster, log: join(root, 'postgres.log'), sockets };
}

/**
 * Makes a folder, closed to everybody else, and those above it, where they are not there yet. Node's own way to do so
 * never ends below a folder that takes none, such as /proc.
 */
export function makeFolder(path: string): void {
  const folders = [path];
  for (let above = dirname(path); !existsSync(above); above = dirname(above)) folders.unshift(above);
  for (const folder of folders) {
    try {
      mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST' && statSync(folder).isDirectory();
      if (!isThere) throw error;
    }
  }
}

/** Whether a database was ever made there. */
export function holdsCluster(dataDir: string): boolean {
  return existsSync(join(dataDir, 'pgdata', 'PG_VERSION'));
}

/**
 * Why no database could be made there; null when nothing speaks against it. Leaves nothing behind: a folder is made and
 * taken away again, since the rights alone do not tell of a place that takes none, such as /proc.
 */
export function dataDirectoryFault(dataDir: string): Error | null {
  const wanted = resolve(dataDir);
  let existing = wanted;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  try {
    if (existing === wanted) requireTrustedPath(existing, 'anyone');
    const probe = mkdtempSync(join(existing, '.postern-'));
    try {
      // Of a directory that is still to be made, what lies above it counts.
      requireTrustedPath(probe, 'anyone');
    } finally {
      rmdirSync(probe);
    }
    return null;
  } catch (cause) {
    return unusable(wanted, cause);
  }
}

function unusable(root: string, cause: unknown): DataDirectoryError {
  if (cause instanceof UntrustedPath) {
    return new DataDirectoryError(`the data directory ${root} cannot be used: ${cause.message}.`, { cause });
  }
  return new DataDirectoryError(
    `the data directory ${root} cannot be used (${String((cause as NodeJS.ErrnoException).code)}). ` +
      'Set POSTERN_DATA_DIR to a folder that this user can write.',
    { cause },
  );
}

/** Gives a folder and all in it to the user that PostgreSQL runs as, when it belongs to another. */
export function changeOwner(ownerId: number | null, path: string): void {
  if (ownerId === null || lstatSync(path).uid === ownerId) return;
  if (lstatSync(path).isDirectory()) {
    for (const entry of readdirSync(path)) changeOwner(ownerId, join(path, entry));
  }
  lchownSync(path, ownerId, ownerId);
}

function socketFolder(root: string): string {
  const near = join(root, 'run');
  if (Buffer.byteLength(near) <= MAX_SOCKET_FOLDER_BYTES) return near;
  const name = createHash('sha256').update(root).digest('hex').slice(0, 16);
  return join(tmpdir(), `postern-${process.getuid?.() ?? 0}-${name}`);
}

/**
 * What stood in the data directory before it was closed to others may be theirs: as root, a cluster must be root's, or of the
 * user as whom root runs PostgreSQL. A link would lead out of the directory.
 */
function requireOwnEntry(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isSymbolicLink())
    throw new DataDirectoryError(`${path} is a symbolic link. Set POSTERN_DATA_DIR to where the data is.`);
  if (process.getuid?.() === 0 && ![0, UNPRIVILEGED_ID].includes(found.uid))
    throw new DataDirectoryError(
      `${path} belongs to user ${found.uid}. Start Postern as that user, or make root its owner.`,
    );
}

/**
 * A folder that somebody else laid out under /tmp before us would let them put a server of theirs in our place, so
 * there not even root takes another's. Inside the data directory it may be that of the user as whom root runs PostgreSQL.
 */
function requireOwnFolder(path: string, root: string): void {
  const { uid: owner } = lstatSync(path);
  const self = process.getuid?.() ?? owner;
  const isTrusted =
    owner === self || (self === 0 && owner === UNPRIVILEGED_ID && path.startsWith(`${root}/`));
  if (lstatSync(path).isDirectory() && isTrusted) return;
  throw new DataDirectoryError(`${path} belongs to another user. Remove it, or set POSTERN_DATA_DIR.`);
}
