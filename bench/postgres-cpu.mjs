// The CPU time of PostgreSQL: its postmaster and all of its children.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuSecondsOf } from './measured-process.mjs';

const TICKS_PER_SECOND = 100;

/**
 * @param {{ query: (sql: string) => Promise<object[]> }} fixture
 * @returns {Promise<() => number>} reads the CPU seconds so far. Of children that have ended it knows the ticks of 10 ms.
 */
export async function openPostgresCpu(fixture) {
  const [{ data_directory: folder }] = await fixture.query('SHOW data_directory');
  const postmaster = Number(readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
  return () => {
    const own = statOf(postmaster);
    const ended = (Number(own[13]) + Number(own[14])) / TICKS_PER_SECOND;
    return [postmaster, ...childrenOf(postmaster)].reduce((sum, pid) => sum + (secondsOf(pid) ?? 0), ended);
  };
}

function childrenOf(parent) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && statOf(name)?.[1] === String(parent))
    .map(Number);
}

/** The fields of /proc/PID/stat behind the name: state, parent and so on; undefined when the process has ended. */
function statOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
  } catch {
    return undefined;
  }
}

function secondsOf(pid) {
  try {
    return cpuSecondsOf(pid);
  } catch {
    return undefined;
  }
}
