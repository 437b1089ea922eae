// A measured process: a server on its own core, and the CPU time and memory that the system reports for it.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath, URL } from 'node:url';

export const SERVER_CORE = 0;
/** The core of the load and PostgreSQL; `run.mjs` pins each scenario to it. */
export const LOAD_CORE = 1;
export const canPin = process.platform === 'linux' && availableParallelism() > 1;
export const postern = fileURLToPath(new URL('../dist/command/postern.js', import.meta.url));
/** The program before bundling: each module is a file, which can be replaced. */
export const unbundledPostern = fileURLToPath(new URL('../dist/cli/postern.js', import.meta.url));
/** The servers of the benchmarks print their port like the service does. */
export const benchServer = (name) => fileURLToPath(new URL(`servers/${name}.mjs`, import.meta.url));

const running = new Set();
process.once('SIGTERM', () => {
  for (const child of running) child.kill('SIGKILL');
  process.exit(1);
});

/**
 * Starts a server and waits for the JSON line on stdout that says that it listens.
 *
 * @param {string[]} script the script for node, with its arguments
 * @param {{ environment?: object, pinned?: boolean, flags?: string[], program?: string }} options `program` instead of node
 */
export async function startMeasured(
  script,
  { environment = {}, pinned = true, flags = [], program = process.execPath } = {},
) {
  const command = [program, ...flags, ...script];
  if (pinned && canPin) command.unshift('taskset', '-c', String(SERVER_CORE));
  const startedMs = performance.now();
  const child = spawn(command[0], command.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
  });
  running.add(child);
  let errorOutput = '';
  child.stderr.on('data', (text) => (errorOutput = `${errorOutput}${text}`.slice(-2_000)));
  const ended = new Promise((resolve) => child.once('exit', resolve)).finally(() => running.delete(child));
  const line = await Promise.race([
    new Promise((resolve) => child.stdout.once('data', (text) => resolve(String(text)))),
    ended.then((code) => {
      throw new Error(`${script.join(' ')} exited with ${code} before it listened: ${errorOutput}`);
    }),
  ]);
  const listeningMs = performance.now() - startedMs;
  const { grpc, http, pid } = JSON.parse(line);
  return {
    grpc,
    http,
    pid,
    listeningMs,
    cpuSeconds: () => cpuSecondsOf(pid),
    memory: () => memoryOf(pid),
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** CPU time of all threads, to the microsecond where the kernel has `schedstat`, otherwise to a tick of 10 ms. */
export function cpuSecondsOf(pid) {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = tasks.map((task) => {
      const [onCpu] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ');
      return Number(onCpu);
    });
    return nanoseconds.reduce((sum, own) => sum + own, 0) / 1e9;
  } catch {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }
}

/** Resident memory in MB of 10^6 bytes: now, and at its peak. */
function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name) => (Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024) / 1e6;
  return { nowMb: megabytes('VmRSS'), peakMb: megabytes('VmHWM') };
}
