import { execFileSync } from 'node:child_process';

/** The limit for the standard streams alone: the process can open no other file or socket. */
export const NO_MORE_FILES = 3;
export const ENOUGH_FILES = 1_024;

/** Limits the open files of a running process; files already open stay open. Linux only. */
export function limitOpenFiles(pid: number, files: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${files}:`]);
}
