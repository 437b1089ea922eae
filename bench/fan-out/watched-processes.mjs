// Real processes for the measurements of the fan-out: an origin, relays if asked for, and one process with all watchers.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, URL } from 'node:url';
import {
  benchServer,
  canPin,
  cpuSecondsOf,
  LOAD_CORE,
  postern,
  SERVER_CORE,
  startMeasured,
} from '../measured-process.mjs';

/**
 * @param {{ relays: number, watchers: number, revocations: number, connecting?: number }} shape `watchers` at each relay, or at
 *   the origin without relays; `connecting` at the same time
 */
export async function withWatchers({ relays, watchers, revocations, connecting = 20 }, work) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-watchers-'));
  const stops = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const origin = await startChild(benchServer('trust-origin'), [String(revocations)], SERVER_CORE);
    stops.push(origin.stop);
    const addresses = [];
    const servers = [origin];
    for (let index = 0; index < relays; index++) {
      const address = `unix:${join(folder, String(index))}`;
      const relay = await startMeasured([postern, 'sidecar', '--upstream', origin.ready.address], {
        environment: {
          POSTERN_RELAY: 'on',
          POSTERN_GRPC_LISTEN: address,
          POSTERN_HTTP_LISTEN: '127.0.0.1:0',
        },
      });
      stops.push(relay.stop);
      servers.push(relay);
      addresses.push(address);
    }
    const load = await startChild(fileURLToPath(new URL('watchers.mjs', import.meta.url)), [], LOAD_CORE);
    stops.push(load.stop);
    if (relays === 0) addresses.push(origin.ready.address);
    const serving = servers.at(-1);
    const residentBefore = residentBytes(serving.pid);
    const { doneMs } = await load.ask({ action: 'open', addresses, each: watchers, limit: connecting });
    const residentPerWatcher = (residentBytes(serving.pid) - residentBefore) / watchers;
    return await work({ origin, servers, serving, load, openedMs: doneMs, residentPerWatcher });
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

/**
 * Revokes `count` sessions after each pause and resolves to what the watchers saw and what the processes used.
 *
 * @param {number[]} pausesMs
 * @param {number} count
 */
export async function measureChanges({ origin, serving, load }, pausesMs, count = 1) {
  const arrived = load.answer('expect');
  load.tell({ action: 'expect', revocations: pausesMs.length * count });
  const before = [serving, load].map(({ pid }) => scheduling(pid));
  await origin.ask({ action: 'revoke', pausesMs, count });
  await arrived;
  const [server, watchers] = [serving, load].map(({ pid }, index) => {
    const [ran, waited] = scheduling(pid).map((value, field) => value - before[index][field]);
    return { cpuSeconds: ran, stretch: (ran + waited) / ran };
  });
  return { ...(await load.ask({ action: 'report' })), server, watchers };
}

/** How long the main thread of a process has run, and has waited for a core, s. */
function scheduling(pid) {
  const [ran, waited] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ');
  return [Number(ran) / 1e9, Number(waited) / 1e9];
}

export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

export const loadAverage = () => Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);

/** A process that talks over IPC, on a core of its own. */
export async function startChild(script, args, core) {
  const pin = canPin ? { execPath: 'taskset', execArgv: ['-c', String(core), process.execPath] } : {};
  const child = fork(script, args, { ...pin, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const exited = once(child, 'exit');
  const failed = exited.then(([code]) => {
    throw new Error(`${script} exited with ${code}`);
  });
  failed.catch(() => undefined);
  const [ready] = await Promise.race([once(child, 'message'), failed]);
  const answer = (action) =>
    Promise.race([
      failed,
      new Promise((resolve) => {
        const onMessage = (message) => {
          if (message.done !== action) return;
          child.off('message', onMessage);
          resolve(message);
        };
        child.on('message', onMessage);
      }),
    ]);
  const tell = (message) => child.send(message);
  return {
    pid: child.pid,
    ready,
    answer,
    tell,
    /** CPU time that the work uses in this process, s. */
    async cpuOf(work) {
      const before = cpuSecondsOf(child.pid);
      await work();
      return cpuSecondsOf(child.pid) - before;
    },
    ask(message) {
      const answered = answer(message.action);
      tell(message);
      return answered;
    },
    async stop() {
      if (child.exitCode !== null) return;
      child.disconnect();
      await exited;
    },
  };
}

function residentBytes(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;
}
