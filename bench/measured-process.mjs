// A process whose work is measured: a server on a core of its own, and what the system says it has used.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath, URL } from 'node:url';

const SERVER_CORE = 0;
/** Where the load and PostgreSQL run; `run.mjs` puts each scenario there. */
export const LOAD_CORE = 1;
export const canPin = process.platform === 'linux' && availableParallelism() > 1;
export const postern = fileURLToPath(new URL('../dist/command/postern.js', import.meta.url));
/** The same before it was bundled: each module in a file of its own, which can be replaced. */
export const unbundledPostern = fileURLToPath(new URL('../dist/cli/postern.js', import.meta.url));
/** Its own servers of the bench tell a port as the service does. */
export const benchServer = (name) => fileURLToPath(new URL(`servers/${name}.mjs`, import.meta.url));

const running = new Set();
process.once('SIGTERM', () => {
  for (const child of running) child.kill('SIGKILL');
  process.exit(1);
});

/**
 * Starts a server and waits until it says in a line of JSON on stdout that it listens.
 *
 * @param {string[]} script what node runs, with its arguments
 * @param {{ environment?: object, pinned?: boolean, flags?: string[] }} options
 */
export async function startMeasured(script, { environment = {}, pinned = true, flags = [] } = {}) {
  const command = [process.execPath, ...flags, ...script];
  if (pinned && canPin) command.unshift('taskset', '-c', String(SERVER_CORE));
  const startedMs = performance.now();
  const child = spawn(command[0], command.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
  });
  running.add(child);
  let complaint = '';
  child.stderr.on('data', (text) => (complaint = `${complaint}${text}`.slice(-2_000)));
  const ended = new Promise((resolve) => child.once('exit', resolve)).finally(() => running.delete(child));
  const line = await Promise.race([
    new Promise((resolve) => child.stdout.once('data', (text) => resolve(String(text)))),
    ended.then((code) => {
      throw new Error(`${script.join(' ')} ended with ${code} before it listened: ${complaint}`);
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

/** Of all its threads, exact to the microsecond where the kernel keeps `schedstat`, else to a tick of 10 ms. */
function cpuSecondsOf(pid) {
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

/** In MB of 10^6 bytes: now, and at its highest. */
function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name) => (Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024) / 1e6;
  return { nowMb: megabytes('VmRSS'), peakMb: megabytes('VmHWM') };
}
