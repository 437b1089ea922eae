import { lstatSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_ALL = 0o002;
/** In such a folder, as /tmp is, one removes and renames one's own entries only. */
const STICKY = 0o1000;
/** What the owner of a file looks like who has no number in this user namespace. */
const UNMAPPED_ID = 65_534;

/** What root must not believe: somebody else could change it. The message says what, and what to do. */
export class UntrustedPath extends Error {
  constructor(what: string) {
    super(
      `${what}; as root, Postern uses only files that no other user can change: make root its owner (chown root), ` +
        'remove write permission for group and others (chmod go-w), or start Postern as its owner',
    );
    this.name = 'UntrustedPath';
  }
}

/**
 * As root, refuses a file or folder that another user owns or may write, or could put another in the place of: what
 * stands in it would be that user's word with root's power. Says nothing to other users, who can only be themselves.
 *
 * @param parentOwners whose folders it may lie in: `root` for what is only read, since whoever owns a folder can exchange what is
 *   in it; `anyone` for a folder of our own, which is known again by its owner, as long as not everybody may write above it
 * @throws UntrustedPath; the system's error when it is not there
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
    // A link's own permissions mean nothing.
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

/** Root in a container may be another user of the machine, whose real root has no number here. */
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
