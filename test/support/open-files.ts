import { execFileSync } from 'node:child_process';

/** As few as the standard streams need: the process opens no other file and no other socket. */
export const NO_MORE_FILES = 3;
export const ENOUGH_FILES = 1_024;

/** Limits what a process may hold open from now on; what is open stays. On Linux. */
export function limitOpenFiles(pid: number, files: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${files}:`]);
}
