import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';

import { UNPRIVILEGED_ID } from './data-directory.ts';
import { EmbeddedPostgresError } from './embedded-postgres-error.ts';

/** How to start PostgreSQL's programs on this machine. */
export interface RunAs {
  /** The command that runs the program, such as `setpriv` with its options. */
  readonly prefix: readonly string[];
  /** The user id that must own the data directory, as seen by this process; null to leave the owner unchanged. */
  readonly ownerId: number | null;
}

/** Stops PostgreSQL when this process is killed: an orphan would keep the data directory in use. */
const DIE_WITH_PARENT = ['setpriv', '--pdeathsig', 'QUIT'];

/**
 * The whole environment of PostgreSQL's programs. That of this process is not passed on: it holds keys and passwords.
 */
export const ENVIRONMENT = {
  LC_ALL: 'C',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin',
};

/**
 * Chooses how to run PostgreSQL, which refuses to run as root. For root it runs in a user namespace, where root is
 * mapped to another user id and keeps access to its files, including a home directory of mode 0700. Where namespaces
 * are not allowed, or the folders belong to other users, it runs as `nobody` with the one capability that bypasses file
 * permissions.
 *
 * @param program one of PostgreSQL's programs, which must be executable that way
 * @param folder the data directory, which must be writable that way
 * @throws EmbeddedPostgresError when this process is root and neither way works
 */
export function chooseRunAs(program: string, folder: string): RunAs {
  const hasAccess = (prefix: readonly string[]) =>
    canRun([...prefix, 'sh', '-c', 'test -x "$1" && test -w "$2"', 'sh', program, folder]);
  const dieWithParent = canRun([...DIE_WITH_PARENT, 'true']) ? DIE_WITH_PARENT : [];
  const namespace = [...inUserNamespace(), ...dieWithParent];

  if (process.getuid?.() !== 0) {
    const prefix = !hasUserName() && hasAccess(namespace) ? namespace : dieWithParent;
    return { prefix, ownerId: null };
  }
  if (hasAccess(namespace)) return { prefix: namespace, ownerId: 0 };
  const asNobody = runAsNobody();
  if (hasAccess(asNobody)) return { prefix: asNobody, ownerId: UNPRIVILEGED_ID };
  throw new EmbeddedPostgresError(
    'PostgreSQL does not run as root, and this machine allows neither user namespaces nor setpriv to change that. ' +
      'Start Postern as an ordinary user, or set DATABASE_URL.',
  );
}

/** The user id inside the namespace can be any, but initdb requires one that has a name. */
function inUserNamespace(): string[] {
  const id = namedId();
  return ['unshare', '--user', `--map-user=${id}`, `--map-group=${id}`];
}

function namedId(): number {
  let ids: number[] = [];
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
    ids = lines.map((line) => Number(line.split(':')[2] ?? 0)).filter((id) => id > 0);
  } catch {
    // Without /etc/passwd no id has a name, so any will do.
  }
  return ids[0] ?? UNPRIVILEGED_ID;
}

/** Whether the current user id has an entry in the user database, which initdb requires. */
function hasUserName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

function runAsNobody(): string[] {
  // dac_override includes dac_read_search, which containers do not have by default.
  const capabilities = '-all,+dac_override';
  return [
    'setpriv',
    `--reuid=${UNPRIVILEGED_ID}`,
    `--regid=${UNPRIVILEGED_ID}`,
    '--clear-groups',
    `--inh-caps=${capabilities}`,
    `--ambient-caps=${capabilities}`,
    '--pdeathsig',
    'QUIT',
  ];
}

function canRun([program = '', ...options]: readonly string[]): boolean {
  return spawnSync(program, options, { stdio: 'ignore', env: ENVIRONMENT, cwd: '/' }).status === 0;
}
