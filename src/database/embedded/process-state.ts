import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';

/** Whether a process runs. A zombie does not, though signals still reach it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';
  } catch {
    return process.platform !== 'linux';
  }
}

/** The postmaster's process id from its lock file, when that process runs and is no other program by now. */
export function postmasterOf(cluster: string, lockFile = `${cluster}/postmaster.pid`): number | null {
  let pid: number;
  try {
    pid = Number.parseInt(readFileSync(lockFile, 'utf8'), 10);
  } catch {
    return null;
  }
  if (!(pid > 0) || !isAlive(pid)) return null;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0-D\0${cluster}\0`) ? pid : null;
  } catch {
    return process.platform === 'linux' ? null : pid;
  }
}

/**
 * Makes a lock file that a dead postmaster left passable. PostgreSQL steps over one by itself, except when the process
 * id in it lives on as a zombie or as another program (after a restart of a container the same low ids come again): then
 * it refuses to start for ever. It does trust its parent's id, which is ours. The file is changed, not removed: its
 * other lines let PostgreSQL see that servants of the dead postmaster still use the memory.
 */
export function claimStaleLock(cluster: string, lockFile: string): void {
  if (!isStale(cluster, lockFile)) return;
  const aside = `${lockFile}.${process.pid}`;
  try {
    // Taken aside and judged again, so that a fresh lock of another start is put back and not overwritten.
    renameSync(lockFile, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (isStale(cluster, aside)) {
    const [, ...rest] = readFileSync(aside, 'utf8').split('\n');
    writeFileSync(aside, [process.pid, ...rest].join('\n'));
  }
  try {
    linkSync(aside, lockFile);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  unlinkSync(aside);
}

/** An empty one is not: PostgreSQL is about to write it. */
function isStale(cluster: string, lockFile: string): boolean {
  try {
    return /^\d+\n/.test(readFileSync(lockFile, 'utf8')) && postmasterOf(cluster, lockFile) === null;
  } catch {
    return false;
  }
}
