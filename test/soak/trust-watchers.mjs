// How long one process takes to bring N watchers up to date, and how much memory they take.
// node test/soak/trust-watchers.mjs [--watchers 1000] [--revocations 100000] [--rounds 20] [--json]  (after `npm run build`)
// The service runs in this process, the watchers in another; the bundle is fed directly, so no database is needed.
// Exits with 1 when a watcher misses a revocation.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { clearInterval, setInterval } from 'node:timers';
import { parseArgs } from 'node:util';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { TrustServiceService } from '../../dist/generated/postern/v1/trust.js';
import { createKeyRing } from '../../dist/tokens/verify/key-ring.js';
import { serveTrust } from '../../bench/trust-fixture.mjs';

const { values } = parseArgs({
  options: {
    watchers: { type: 'string', default: '1000' },
    revocations: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
    'as-watchers-of': { type: 'string' },
  },
});
const watchers = Number(values.watchers);
const revocations = Number(values.revocations);
const rounds = Number(values.rounds);
const STREAMS_PER_CONNECTION = 100;
const SMALL_BYTES = 1_000;

if (values['as-watchers-of']) watch(values['as-watchers-of']);
else await serve();

async function serve() {
  const fixture = await serveTrust(createKeyRing([]));
  fixture.revoke(revocations);
  const idleBytes = process.memoryUsage.rss();
  let peakBytes = idleBytes;
  let blockedMs = 0;
  let lastMs = performance.now();
  const sampler = setInterval(() => {
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    blockedMs = Math.max(blockedMs, performance.now() - lastMs - 10);
    lastMs = performance.now();
  }, 10);

  const startMs = performance.now();
  const child = fork(
    fileURLToPath(import.meta.url),
    ['--as-watchers-of', fixture.address, '--watchers', watchers, '--revocations', revocations].map(String),
  );
  child.once('exit', (code) => code && process.exit(1));
  const [ready] = await once(child, 'message');
  const servedMs = performance.now() - startMs;

  const delaysMs = [];
  for (let round = 0; round < rounds; round++) {
    const sentMs = performance.now();
    const ready = once(child, 'message');
    fixture.revoke(1);
    await ready;
    delaysMs.push(performance.now() - sentMs);
  }
  const steadyBytes = process.memoryUsage.rss();
  clearInterval(sampler);
  child.disconnect();
  const stopMs = performance.now();
  await fixture.stop(8_000);
  const stoppedMs = performance.now() - stopMs;
  const complete = ready.decoded >= revocations && ready.alike;
  delaysMs.sort((one, other) => one - other);
  const report = {
    watchers,
    revocations,
    complete,
    served_ms: Math.round(servedMs),
    rss_idle_mb: megabytes(idleBytes),
    rss_peak_mb: megabytes(peakBytes),
    rss_steady_mb: megabytes(steadyBytes),
    longest_pause_ms: Math.round(blockedMs),
    delta_to_all_p50_ms: Math.round(delaysMs[Math.floor(rounds / 2)] ?? 0),
    delta_to_all_max_ms: Math.round(delaysMs.at(-1) ?? 0),
    stop_ms: Math.round(stoppedMs),
  };
  if (values.json) console.log(JSON.stringify(report));
  else for (const [name, value] of Object.entries(report)) console.log(name.padEnd(22), value);
  process.exit(complete ? 0 : 1);
}

/**
 * The server is measured, so the watchers do little: the first one decodes everything, the others only compare how many
 * bytes they got, and decode the small messages: the completion, the changes and the heartbeats.
 */
function watch(address) {
  const method = TrustServiceService.watchTrust;
  const bytesOf = new Array(watchers).fill(0);
  let decoded = 0;
  let complete = 0;
  let reported = 0;
  let client;
  for (let index = 0; index < watchers; index++) {
    if (index % STREAMS_PER_CONNECTION === 0) {
      client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    }
    const decode = (bytes) => {
      if (complete < watchers) bytesOf[index] += bytes.length;
      return index === 0 || bytes.length < SMALL_BYTES ? method.responseDeserialize(bytes) : {};
    };
    const call = client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      decode,
      { cursor: '', relayId: Buffer.alloc(0) },
      new Metadata(),
    );
    let isComplete = false;
    call.on('error', (error) => {
      if (process.connected) console.error(error.message);
      process.exit(process.connected ? 1 : 0);
    });
    call.on('data', ({ update }) => {
      if (update?.$case !== 'revocations') return;
      const { length } = update.value.revocations;
      if (isComplete) {
        reported += length;
        if (reported % watchers === 0) process.send({ reported });
        return;
      }
      if (index === 0) decoded += length;
      if (!update.value.complete) return;
      isComplete = true;
      complete += 1;
      if (complete === watchers) {
        process.send({ decoded, alike: bytesOf.every((bytes) => bytes >= bytesOf[0] - SMALL_BYTES) });
      }
    });
  }
}

function megabytes(bytes) {
  return Math.round(bytes / 1e6);
}
