import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';

/** Whether a process is running. A zombie is not, although `kill(pid, 0)` succeeds for it. */
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

/**
 * The process id in the postmaster's lock file; null unless that process is running and is PostgreSQL on this cluster.
 */
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
 * Writes our process id into a lock file of a dead postmaster, so that PostgreSQL can start. PostgreSQL ignores a stale
 * lock file by itself, except when its process id belongs to a zombie or to another program: after a container restart
 * the same low ids are reused, and PostgreSQL would refuse to start for ever. It ignores the id of its parent, which is
 * ours. The file is changed and not removed, because from its other lines PostgreSQL detects child processes of the
 * dead postmaster that still use its shared memory.
 */
export function claimStaleLock(cluster: string, lockFile: string): void {
  if (!isStale(cluster, lockFile)) return;
  const renamed = `${lockFile}.${process.pid}`;
  try {
    // Renamed and checked again, so that the new lock of a concurrent start is restored and not overwritten.
    renameSync(lockFile, renamed);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (isStale(cluster, renamed)) {
    const [, ...rest] = readFileSync(renamed, 'utf8').split('\n');
    writeFileSync(renamed, [process.pid, ...rest].join('\n'));
  }
  try {
    linkSync(renamed, lockFile);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  unlinkSync(renamed);
}

/** An empty lock file is not stale: PostgreSQL is about to write it. */
function isStale(cluster: string, lockFile: string): boolean {
  try {
    return /^\d+\n/.test(readFileSync(lockFile, 'utf8')) && postmasterOf(cluster, lockFile) === null;
  } catch {
    return false;
  }
}
