import { chmodSync, lchownSync, lstatSync, readFileSync } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';

import { requireTrustedPath, UntrustedPath } from '../domain/trusted-path.ts';

/** Who may connect to a unix socket: on Linux, whoever may write to its file. */
export interface SocketAccess {
  /** The permission bits of the file. */
  readonly mode: number;
  /** The group of the file; null for the group that the system gives it. */
  readonly group: number | null;
}

export const OWNER_ONLY: SocketAccess = { mode: 0o600, group: null };

const ALL_BITS = 0o777;
const OWNER_BITS = 0o700;

/** A unix socket cannot be made at the path of the settings, or cannot get their mode or group. */
export class SocketAccessError extends Error {
  readonly advice: string;

  constructor(message: string, advice: string) {
    super(message);
    this.name = 'SocketAccessError';
    this.advice = advice;
  }
}

/**
 * Binds a unix socket that is never wider than its settings, whatever the umask of the process: the mask of the process is
 * replaced while `bind` runs. With a group, only the owner may connect until `openSocket` has set it. No other code of
 * this thread runs meanwhile. A file that another thread made in that moment could get the mode of the socket; the threads
 * of this process make none.
 *
 * @param bind must bind before it returns
 */
export function bindWithMode<T>({ mode, group }: SocketAccess, bind: () => T): T {
  const previous = process.umask(ALL_BITS & ~(group === null ? mode : mode & OWNER_BITS));
  try {
    return bind();
  } finally {
    process.umask(previous);
  }
}

/**
 * Gives a socket that was bound with `bindWithMode` its group, and then its mode.
 *
 * @throws SocketAccessError when this is not possible, or when the file system did not keep the mode
 */
export function openSocket(path: string, { mode, group }: SocketAccess): void {
  if (group !== null) giveGroup(path, group, mode);
  const { mode: found } = lstatSync(path);
  if ((found & ALL_BITS & ~mode) === 0) return;
  throw new SocketAccessError(
    `the file system of ${path} gives the socket the mode ${formatMode(found)}, not ${formatMode(mode)}`,
    'Use a folder on a file system with Unix permissions, such as /run.',
  );
}

/** In octal, as `chmod` takes it and `stat` prints it. */
export function formatMode(mode: number): string {
  return `0${(mode & ALL_BITS).toString(8).padStart(3, '0')}`;
}

/** The id of a group of this machine, by name or number; null for a name that is not in /etc/group. */
export function groupId(nameOrNumber: string): number | null {
  if (/^\d+$/.test(nameOrNumber)) return Number(nameOrNumber);
  let groups: string;
  try {
    groups = readFileSync('/etc/group', 'utf8');
  } catch {
    return null;
  }
  const fields = groups.split('\n').map((line) => line.split(':'));
  const id = fields.find(([name]) => name === nameOrNumber)?.[2];
  return id !== undefined && /^\d+$/.test(id) ? Number(id) : null;
}

/** Whether this user may give a file of its own to the group. */
export function mayGiveTo(group: number): boolean {
  if (process.geteuid?.() === 0 || process.getegid?.() === group) return true;
  return process.getgroups?.().includes(group) ?? false;
}

/** What a socket that cannot be given to its group means. */
export function groupRefused(path: string, group: number): SocketAccessError {
  return new SocketAccessError(
    `${path} cannot be given to group ${group}, because the user of this process is not a member of it`,
    'Add the user to the group of POSTERN_SOCKET_GROUP (usermod -aG, runAsGroup, supplementalGroups), or name one of its groups.',
  );
}

function giveGroup(path: string, group: number, mode: number): void {
  try {
    // As root, chmod would follow a link that the owner of the folder puts in the place of the socket.
    requireTrustedPath(dirname(path), 'root');
    lchownSync(path, -1, group);
    chmodSync(path, mode);
  } catch (error) {
    if (error instanceof UntrustedPath)
      throw new SocketAccessError(
        `the folder of ${path} cannot be trusted with POSTERN_SOCKET_GROUP`,
        error.message,
      );
    if ((error as NodeJS.ErrnoException).code === 'EPERM') throw groupRefused(path, group);
    throw error;
  }
}

/**
 * Removes a unix socket that a killed process left behind. A socket that still accepts connections stays: binding to it
 * then fails with EADDRINUSE.
 *
 * @throws SocketAccessError when no socket can be made at the path
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const folder = await lstat(dirname(path)).catch(() => null);
  if (folder === null)
    throw new SocketAccessError(
      `the folder of ${path} does not exist`,
      'Create the folder, or name another path.',
    );
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  // Any file refuses connections. It must not be deleted because of a mistake in a setting.
  if (!found.isSocket())
    throw new SocketAccessError(`${path} exists and is not a socket`, 'Remove it, or name another path.');
  if (await refusesConnections(path)) await unlink(path);
}

function refusesConnections(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED'));
  });
}
