import { lstatSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_ALL = 0o002;
/** In a folder with this bit, such as /tmp, users can remove and rename only their own entries. */
const STICKY = 0o1000;
/** The uid and gid of owners that are not mapped into this user namespace. */
const UNMAPPED_ID = 65_534;

/** Root must not use a path because another user could change it. The message says why, and what to do. */
export class UntrustedPath extends Error {
  constructor(problem: string) {
    super(
      `${problem}; as root, Postern uses only files that no other user can change: make root its owner (chown root), ` +
        'remove write permission for group and others (chmod go-w), or start Postern as its owner',
    );
    this.name = 'UntrustedPath';
  }
}

/**
 * When running as root, refuses a file or folder that another user owns, can write or can replace: that user's content
 * would take effect with root's privileges. Does nothing when running as another user, which has no privileges to lend.
 *
 * @param parentOwners who may own the parent folders: `root` for files that are only read, because the owner of a folder can
 *   replace the files in it; `anyone` for Postern's own folder, which is recognised by its owner. In both cases a
 *   parent that its group or everybody can write is refused, unless it is sticky or the group is root's
 * @throws UntrustedPath; the error of the file system when the path does not exist
 */
export function requireTrustedPath(path: string, parentOwners: 'root' | 'anyone'): void {
  if (process.getuid?.() !== 0) return;
  const givenPath = resolve(path);
  const realPath = realpathSync(givenPath);
  for (const entry of new Set([...pathAndParents(realPath), ...pathAndParents(givenPath)])) {
    const stats = lstatSync(entry);
    const isTarget = entry === realPath;
    const isLink = stats.isSymbolicLink();
    if (!isRootId(stats.uid) && (isTarget || isLink || parentOwners === 'root'))
      throw new UntrustedPath(`${entry} belongs to user ${stats.uid}`);
    // The permissions of a link itself have no effect.
    const isProtected = isLink || (!isTarget && (stats.mode & STICKY) !== 0);
    if (!isProtected && (stats.mode & WRITABLE_BY_ALL) !== 0)
      throw new UntrustedPath(`${entry} is writable by everybody`);
    if (!isProtected && (stats.mode & WRITABLE_BY_GROUP) !== 0 && !isRootId(stats.gid))
      throw new UntrustedPath(`${entry} is writable by group ${stats.gid}`);
  }
}

function pathAndParents(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [path, ...pathAndParents(parent)];
}

/** In a container with a user namespace, the host's root is not mapped and appears as `UNMAPPED_ID`. */
function isRootId(id: number): boolean {
  return id === 0 || (id === UNMAPPED_ID && !isFirstUserNamespace());
}

function isFirstUserNamespace(): boolean {
  try {
    return /^\s*0\s+0\s/.test(readFileSync('/proc/self/uid_map', 'utf8'));
  } catch {
    return true;
  }
}
