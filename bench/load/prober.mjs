// Sends a VerifyToken every few milliseconds and prints the percentiles of the latency as JSON:
// node bench/load/prober.mjs ADDRESS SECONDS TOKEN. A process of its own, which no other load delays.
import { setTimeout as pause } from 'node:timers/promises';
import { percentile } from '../bench-service.mjs';
import { VERIFY, verifyMessage } from '../token-fixture.mjs';
import { openSession, unaryCall } from './callers.mjs';

const PAUSE_MS = 5;

const [address, seconds, token] = process.argv.slice(2);
const message = verifyMessage(token);
const session = openSession(address);
const times = [];
// The first calls open the connection and warm up this process.
for (let call = 0; call < 50; call++) await unaryCall(session, VERIFY, message);
const endMs = performance.now() + Number(seconds) * 1_000;
while (performance.now() < endMs) {
  const sentMs = performance.now();
  await unaryCall(session, VERIFY, message);
  times.push(performance.now() - sentMs);
  await pause(PAUSE_MS);
}
session.close();
times.sort((one, other) => one - other);
const figures = { probes: times.length, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) };
process.stdout.write(`${JSON.stringify(figures)}\n`);
process.exit(0);
