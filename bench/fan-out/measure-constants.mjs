import { cpus } from 'node:os';
import { fileURLToPath, URL } from 'node:url';
import { heartbeatUpdate, revocationUpdates } from '../../dist/services/trust/trust-updates.js';
import { LOAD_CORE } from '../measured-process.mjs';
import { stampedId } from './stamp.mjs';
import { loadAverage, measureChanges, quantile, startChild, withWatchers } from './watched-processes.mjs';

const WATCHERS = 100;
const VERIFIERS = 20;
const CHANGES = 100;
const APART_MS = 60;
const MANY = 2_000;
const FRAME_HEADER_BYTES = 9;
const CURSOR = `1.${2n ** 95n}`;
const pauses = (count) => new Array(count).fill(APART_MS);
const verifiersProgram = fileURLToPath(new URL('verifiers.mjs', import.meta.url));

/**
 * What the simulation needs to know of one process, measured at one with a hundred watchers: CPU times, which a busy machine
 * hardly changes.
 */
export async function measureConstants() {
  const loadBefore = loadAverage();
  const measured = await withWatchers(
    { relays: 0, watchers: WATCHERS, revocations: 0 },
    async (processes) => {
      const { origin, load } = processes;
      const reopen = () => load.ask({ action: 'reopen', limit: 20 });
      await measureChanges(processes, pauses(CHANGES));
      await reopen();
      const connectSeconds = await origin.cpuOf(reopen);
      const single = await measureChanges(processes, pauses(CHANGES));
      const many = await measureChanges(processes, pauses(5), MANY);
      const serverMs = (single.server.cpuSeconds * 1e3) / single.updates;
      // All messages are made before the first one leaves; the quickest rounds were not interrupted.
      const makeMs = quantile(single.delaysMs, 0) / WATCHERS;
      const manyMs = (many.server.cpuSeconds * 1e3) / (5 * WATCHERS);
      return {
        makeMs,
        flushMs: serverMs - makeMs,
        flushMsPerByte: (manyMs - serverMs) / (bytesOfUpdate(MANY) - bytesOfUpdate(1)),
        watcherMs: (single.watchers.cpuSeconds * 1e3) / single.updates,
        connectMs: (connectSeconds * 1e3) / WATCHERS,
        watcherBytes: Math.round(processes.residentPerWatcher),
      };
    },
  );
  const received = await withWatchers({ relays: 0, watchers: 1, revocations: 0 }, async (processes) => {
    const { origin } = processes;
    const verifiers = await startChild(
      verifiersProgram,
      [origin.ready.address, String(VERIFIERS)],
      LOAD_CORE,
    );
    try {
      let revocations = 0;
      const cpuOf = (count, rounds) =>
        verifiers.cpuOf(async () => {
          revocations += count * rounds;
          await measureChanges(processes, pauses(rounds), count);
          await verifiers.ask({ action: 'await', revocations });
        });
      await cpuOf(1, CHANGES);
      const receiveMs = ((await cpuOf(1, CHANGES)) * 1e3) / CHANGES / VERIFIERS;
      const manyMs = ((await cpuOf(MANY, 5)) * 1e3) / 5 / VERIFIERS;
      return { receiveMs, applyMs: (manyMs - receiveMs) / MANY };
    } finally {
      await verifiers.stop();
    }
  });
  return {
    about: {
      date: new Date().toISOString().slice(0, 10),
      cpu: cpus()[0].model,
      cores: cpus().length,
      node: process.versions.node,
      loadAverage: [loadBefore, loadAverage()],
    },
    ...measured,
    ...received,
    bytesPerUpdate: bytesOfUpdate(1),
    bytesPerRevocation: (bytesOfUpdate(MANY) - bytesOfUpdate(1)) / (MANY - 1),
    heartbeatBytes: heartbeatUpdate(CURSOR, 1_000).frame.length + FRAME_HEADER_BYTES,
  };
}

/** The bytes of HTTP/2 for one message, without those of TLS and TCP. */
function bytesOfUpdate(count) {
  const expiresAtSeconds = Math.floor(Date.now() / 1_000) + 780;
  const revocations = Array.from({ length: count }, () => ({
    kind: 'sid',
    id: stampedId(),
    expiresAtSeconds,
  }));
  const updates = revocationUpdates(revocations, { previousCursor: CURSOR, cursor: CURSOR, snapshot: false });
  return [...updates].reduce((sum, { frame }) => sum + frame.length + FRAME_HEADER_BYTES, 0);
}
