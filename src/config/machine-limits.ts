import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';

/** What this process may use, and what says so. */
export interface MachineLimits {
  readonly cores: number;
  readonly coresFrom: Origin;
  readonly memoryBytes: number;
  readonly memoryFrom: Origin;
  /** Files and sockets that may be open at once (`ulimit -n`). */
  readonly openFiles: number;
}

type Origin = 'machine' | 'container';

/** How the limits are read; only tests give their own. */
export interface MachineReader {
  /** Returns a file's text, or throws. */
  readonly readFile: (path: string) => string;
  readonly cores: () => number;
  readonly totalBytes: () => number;
  /** The limit that Node.js found, bytes; 0 or a huge number for none. */
  readonly constrainedBytes: () => number;
}

const reader: MachineReader = {
  readFile: (path) => readFileSync(path, 'utf8'),
  cores: availableParallelism,
  totalBytes: totalmem,
  constrainedBytes: () => process.constrainedMemory(),
};

const CGROUPS = '/sys/fs/cgroup';

/**
 * The cores and the memory that this process may use: what the machine has, or what its container allows (control groups,
 * versions 1 and 2). Node.js 20 knows no limit of CPU time, and no limit of memory of an outer group.
 */
export function machineLimits(from: MachineReader = reader): MachineLimits {
  const [cores, total] = [from.cores(), from.totalBytes()];
  const groups = groupsOf(from);
  const allowedCores = Math.min(...groups.map(({ cores: limit }) => limit), Infinity);
  const constrained = from.constrainedBytes();
  const allowedBytes = Math.min(
    ...groups.map(({ bytes }) => bytes),
    constrained > 0 ? constrained : Infinity,
    Infinity,
  );
  return {
    // Half a core more is worth a thread.
    cores: Math.max(1, Math.min(cores, Math.round(allowedCores))),
    coresFrom: Math.round(allowedCores) < cores ? 'container' : 'machine',
    memoryBytes: Math.min(total, allowedBytes),
    memoryFrom: allowedBytes < total ? 'container' : 'machine',
    openFiles: openFilesOf(textOf(from, '/proc/self/limits')),
  };
}

interface GroupLimits {
  readonly cores: number;
  readonly bytes: number;
}

/** The limits of the control groups of this process: its own and all outer ones. */
function groupsOf(from: MachineReader): GroupLimits[] {
  const lines = textOf(from, '/proc/self/cgroup').split('\n');
  const pathOf = (controller: string) =>
    lines.map((line) => line.split(':')).find(([, names = '']) => names.split(',').includes(controller))?.[2];
  const unified = lines.find((line) => line.startsWith('0::'))?.slice(3) ?? '/';
  return [
    ...withOuterGroups(unified).map((path) => ({
      cores: quotaOf(textOf(from, join(CGROUPS, path, 'cpu.max'))),
      bytes: bytesOf(textOf(from, join(CGROUPS, path, 'memory.max'))),
    })),
    ...withOuterGroups(pathOf('memory') ?? '/').map((path) => ({
      cores: Infinity,
      bytes: bytesOf(textOf(from, join(CGROUPS, 'memory', path, 'memory.limit_in_bytes'))),
    })),
    ...withOuterGroups(pathOf('cpu') ?? '/').map((path) => {
      const file = (name: string) => textOf(from, join(CGROUPS, 'cpu', path, name)).trim();
      return { cores: quotaOf(`${file('cpu.cfs_quota_us')} ${file('cpu.cfs_period_us')}`), bytes: Infinity };
    }),
  ];
}

/** In a container the files of its own group are at the root of the folder, whatever its path outside is. */
function withOuterGroups(path: string): string[] {
  const paths = [path];
  for (let outer = path; outer !== '/' && outer !== '.';) {
    outer = dirname(outer);
    paths.push(outer);
  }
  return paths;
}

function textOf({ readFile }: MachineReader, path: string): string {
  try {
    return readFile(path);
  } catch {
    return '';
  }
}

/** Cores, from microseconds of CPU time in a period of microseconds: `150000 100000`. */
function quotaOf(text: string): number {
  const [, quota, period] = /^(\d+) (\d+)\s*$/.exec(text) ?? [];
  const cores = Number(quota) / Number(period);
  return cores > 0 ? cores : Infinity;
}

/** The soft limit, which Node.js has raised to the hard one. */
function openFilesOf(text: string): number {
  const [, limit] = /^Max open files\s+(\d+)/m.exec(text) ?? [];
  return limit === undefined ? Infinity : Number(limit);
}

function bytesOf(text: string): number {
  const bytes = /^\d+\s*$/.test(text) ? Number(text) : 0;
  return bytes > 0 ? bytes : Infinity;
}
