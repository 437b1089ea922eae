import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';

import { UNPRIVILEGED_ID } from './data-directory.ts';
import { EmbeddedPostgresError } from './embedded-postgres-error.ts';

/** How PostgreSQL's programs are started on this machine. */
export interface RunAs {
  /** Programs, with their arguments, that start the program behind them. */
  readonly prefix: readonly string[];
  /** Who must own the data directory, as this process sees it; null to leave ownership as it is. */
  readonly ownerId: number | null;
}

/** PostgreSQL ends when this process is killed: an orphan would hold the data directory. */
const DIE_WITH_PARENT = ['setpriv', '--pdeathsig', 'QUIT'];

/** All that PostgreSQL's programs see of the environment: what this process was given holds keys and passwords. */
export const ENVIRONMENT = {
  LC_ALL: 'C',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin',
};

/**
 * PostgreSQL refuses to run as root. As root it therefore runs in a user namespace, where root has another number and
 * still owns what it owned, a 0700 home included. Where namespaces are not allowed, or the folders belong to others, it
 * runs as `nobody` with just the capability to pass folders that are closed to it.
 *
 * @param program one of PostgreSQL's, which must be in reach that way
 * @param folder the data directory, which must be in reach too
 * @throws EmbeddedPostgresError as root, where neither works
 */
export function chooseRunAs(program: string, folder: string): RunAs {
  const reaches = (prefix: readonly string[]) =>
    canRun([...prefix, 'sh', '-c', 'test -x "$1" && test -w "$2"', 'sh', program, folder]);
  const dieWithParent = canRun([...DIE_WITH_PARENT, 'true']) ? DIE_WITH_PARENT : [];
  const namespace = [...inUserNamespace(), ...dieWithParent];

  if (process.getuid?.() !== 0) {
    const prefix = !hasName() && reaches(namespace) ? namespace : dieWithParent;
    return { prefix, ownerId: null };
  }
  if (reaches(namespace)) return { prefix: namespace, ownerId: 0 };
  const asNobody = unprivileged();
  if (reaches(asNobody)) return { prefix: asNobody, ownerId: UNPRIVILEGED_ID };
  throw new EmbeddedPostgresError(
    'PostgreSQL does not run as root, and this machine allows neither user namespaces nor setpriv to change that. ' +
      'Start Postern as an ordinary user, or set DATABASE_URL.',
  );
}

/** The number inside the namespace means nothing outside, but initdb wants one that has a name here. */
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
    // No such file: any number is as good as another.
  }
  return ids[0] ?? UNPRIVILEGED_ID;
}

function hasName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

function unprivileged(): string[] {
  // Not dac_read_search, which containers do not have by default and which dac_override includes.
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
