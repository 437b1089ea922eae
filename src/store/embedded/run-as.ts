import { spawnSync } from 'node:child_process';

import { EmbeddedPostgresError } from './embedded-postgres-error.ts';

/** How PostgreSQL's programs are started on this machine. */
export interface RunAs {
  /** Programs, with their arguments, that start the program behind them. */
  readonly prefix: readonly string[];
  /** Who must own the data directory, as this process sees it; null to leave ownership as it is. */
  readonly ownerId: number | null;
}

/** Any number but 0: it has a meaning only inside the user namespace. */
const NAMESPACE_ID = 1000;
/** `nobody`, on every Linux. */
const UNPRIVILEGED_ID = 65_534;

/** PostgreSQL ends when this process is killed: an orphan would hold the data directory. */
const DIE_WITH_PARENT = ['setpriv', '--pdeathsig', 'QUIT'];

/**
 * PostgreSQL refuses to run as root. As root it therefore runs in a user namespace, where root has another number and
 * still owns what it owned, a 0700 home included. Where namespaces are not allowed, it runs as `nobody` with just the
 * capability to pass folders that are closed to others.
 *
 * @throws EmbeddedPostgresError as root, where neither works
 */
export function chooseRunAs(): RunAs {
  const dieWithParent = works(DIE_WITH_PARENT) ? DIE_WITH_PARENT : [];
  if (process.getuid?.() !== 0) return { prefix: dieWithParent, ownerId: null };

  const namespace = ['unshare', '--user', `--map-user=${NAMESPACE_ID}`, `--map-group=${NAMESPACE_ID}`];
  if (works([...namespace, ...dieWithParent]))
    return { prefix: [...namespace, ...dieWithParent], ownerId: 0 };

  const asNobody = unprivileged();
  if (works(asNobody)) return { prefix: asNobody, ownerId: UNPRIVILEGED_ID };
  throw new EmbeddedPostgresError(
    'PostgreSQL does not run as root, and this machine allows neither user namespaces nor setpriv to change that. ' +
      'Start Postern as an ordinary user, or set DATABASE_URL.',
  );
}

export function unprivileged(): string[] {
  const capabilities = '-all,+dac_override,+dac_read_search';
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

function works([program = '', ...options]: readonly string[]): boolean {
  return spawnSync(program, [...options, 'true'], { stdio: 'ignore' }).status === 0;
}
