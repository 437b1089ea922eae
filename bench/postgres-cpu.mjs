// The CPU time of PostgreSQL, of all its processes.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuSecondsOf } from './measured-process.mjs';

/**
 * Starts a measurement. Call the result for the CPU seconds since then, of every process that still runs.
 *
 * @param {string} dataDir the folder of the bench service, or one above the cluster
 */
export function startPostgresCpu(dataDir) {
  const postmaster = postmasterIn(dataDir);
  const before = cpuOfChildren(postmaster);
  return () => {
    const after = cpuOfChildren(postmaster);
    return [...after].reduce((sum, [pid, seconds]) => sum + seconds - (before.get(pid) ?? 0), 0);
  };
}

function postmasterIn(folder) {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const file = files.find((name) => name.endsWith('postmaster.pid'));
  if (file === undefined) throw new Error(`no PostgreSQL runs in ${folder}`);
  return readFileSync(join(folder, file), 'utf8').split('\n', 1)[0].trim();
}

function cpuOfChildren(postmaster) {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === postmaster);
  return new Map(pids.map((pid) => [pid, cpuSecondsOf(pid)]));
}

/** Undefined when the process has just ended. */
function parentOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')[1];
  } catch {
    return undefined;
  }
}
