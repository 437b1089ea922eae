// How long a revocation takes to reach all watchers of a process, and what they cost it, with real processes on this machine:
// node bench/trust-watchers.mjs [--watchers 1000] [--relays 0] [--changes 50] [--per-second 0] [--revocations 1000]  (after
// `npm run build`). `--watchers` counts those of each relay, or of the origin when there are no relays. Without `--per-second`
// one session is revoked every 400 ms, otherwise at random moments. `bench/fan-out-simulation.mjs` is held against the result.
import { parseArgs } from 'node:util';
import { loadAverage, measureChanges, quantile, withWatchers } from './fan-out/watched-processes.mjs';

const { values } = parseArgs({
  options: {
    watchers: { type: 'string', default: '1000' },
    relays: { type: 'string', default: '0' },
    changes: { type: 'string', default: '50' },
    'per-second': { type: 'string', default: '0' },
    revocations: { type: 'string', default: '1000' },
  },
});
const [watchers, relays, changes, perSecond, revocations] = [
  values.watchers,
  values.relays,
  values.changes,
  values['per-second'],
  values.revocations,
].map(Number);
const APART_MS = 400;
const pausesMs = Array.from({ length: changes }, () =>
  perSecond > 0 ? (-Math.log(1 - Math.random()) * 1_000) / perSecond : APART_MS,
);

await withWatchers({ relays, watchers, revocations }, async (processes) => {
  await measureChanges(processes, pausesMs.slice(0, 10));
  const { delaysMs, bytes, updates, server, watchers: load } = await measureChanges(processes, pausesMs);
  const all = watchers * Math.max(1, relays);
  const ms = (value) => Number(value.toFixed(2));
  const report = {
    watchers: all,
    relays,
    changes,
    delay_first_ms: ms(quantile(delaysMs, 0)),
    delay_p50_ms: ms(quantile(delaysMs, 0.5)),
    delay_p99_ms: ms(quantile(delaysMs, 0.99)),
    delay_max_ms: ms(quantile(delaysMs, 1)),
    updates_per_watcher: ms(updates / all),
    bytes_per_update: ms(bytes / updates),
    server_us_per_update: ms((server.cpuSeconds * 1e6 * Math.max(1, relays)) / updates),
    watchers_us_per_update: ms((load.cpuSeconds * 1e6) / updates),
    kb_per_watcher: ms(processes.residentPerWatcher / 1e3),
    opened_all_ms: ms(quantile(processes.openedMs, 1)),
    server_stretch: ms(server.stretch),
    watchers_stretch: ms(load.stretch),
    load_average: loadAverage(),
  };
  for (const [name, value] of Object.entries(report)) console.log(name.padEnd(24), value);
});
