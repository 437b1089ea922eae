import { readFileSync } from 'node:fs';

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
export function postmasterOf(cluster: string): number | null {
  let pid: number;
  try {
    pid = Number.parseInt(readFileSync(`${cluster}/postmaster.pid`, 'utf8'), 10);
  } catch {
    return null;
  }
  if (!(pid > 0) || !isAlive(pid)) return null;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(cluster) ? pid : null;
  } catch {
    return process.platform === 'linux' ? null : pid;
  }
}
