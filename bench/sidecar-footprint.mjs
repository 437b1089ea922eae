// What a sidecar takes: its start beside that of a bare node, its memory after many calls through a unix socket, and how
// many of Envoy's checks it answers and how soon.
// node bench/sidecar-footprint.mjs [--calls 5000] [--checks 20000] [--starts 5] [--json]   (after `npm run build`; Linux)
// The start is from the spawn to the line on stdout, the median of several in turns with `node -e 0`. The centre is this process.
// Exits with 1 above 95 MB, 0.4 s, or 200 ms for 999 of 1,000 checks.
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath, URL } from 'node:url';
import { parseArgs } from 'node:util';
import { createAuthClient } from '../dist/client/postern-client.js';
import { createTokenId, signAccessToken } from '../dist/tokens/sign-access-token.js';
import { ENVOY_PATIENCE_MS, measureChecks } from './envoy-checks.mjs';
import { percentile } from './service-house.mjs';
import { trustHouse } from './trust-house.mjs';

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '5000' },
    checks: { type: 'string', default: '20000' },
    starts: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
});
const calls = Number(values.calls);
const checks = Number(values.checks);
const starts = Number(values.starts);
const goals = { rssMb: 95, startMs: 400 };
const IN_FLIGHT = 20;
const TOKENS = 500;

const bin = fileURLToPath(new URL('../dist/cli/postern.js', import.meta.url));
const folder = mkdtempSync(`${tmpdir()}/postern-sidecar-`);
const socket = `unix:${folder}/sidecar.sock`;
const house = await trustHouse(1_000);

/** A sidecar that has printed its line, and after how long that was. */
async function startSidecar() {
  const startMs = performance.now();
  const child = spawn(process.execPath, [bin, 'sidecar', '--upstream', house.address], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env.PATH, POSTERN_GRPC_LISTEN: socket, POSTERN_HTTP_LISTEN: '127.0.0.1:0' },
  });
  const [line] = await once(child.stdout, 'data');
  const tookMs = performance.now() - startMs;
  return { child, tookMs, http: JSON.parse(String(line)).http };
}

async function bareNode() {
  const startMs = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - startMs;
}

const megabytes = (pid) =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
const medianOf = (numbers) =>
  percentile(
    numbers.toSorted((one, other) => one - other),
    0.5,
  );

const issue = () =>
  signAccessToken(house.signer, {
    issuer: house.policy.issuer,
    audience: house.policy.audiences[0],
    subject: randomUUID(),
    sessionId: randomUUID(),
    clientId: 'postern',
    roles: ['reader'],
    tokenId: createTokenId(randomBytes(16)),
    issuedAtSeconds: Math.floor(Date.now() / 1000),
    lifetimeSeconds: 600,
  });

let last;
try {
  const [own, bare] = [[], []];
  for (let start = 0; start < starts; start++) {
    bare.push(await bareNode());
    last = await startSidecar();
    own.push(last.tookMs);
    if (start < starts - 1) {
      last.child.kill('SIGTERM');
      await once(last.child, 'exit');
    }
  }
  const { child, http } = last;
  while ((await globalThis.fetch(`http://${http}/readyz`)).status !== 200) await pause(20);
  const idleMb = megabytes(child.pid);
  const client = createAuthClient({ address: socket });
  const tokens = await Promise.all(Array.from({ length: TOKENS }, issue));
  let next = 0;
  const startMs = performance.now();
  const caller = async () => {
    while (next < calls) await client.verifyToken({ accessToken: tokens[next++ % TOKENS] });
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  const seconds = (performance.now() - startMs) / 1000;
  const rssMb = megabytes(child.pid);
  const checked = await Promise.all(Array.from({ length: TOKENS }, issue));
  const envoy = await measureChecks(socket, { tokens: checked, checks, inFlight: IN_FLIGHT });
  const report = {
    start_ms: Math.round(medianOf(own)),
    bare_node_start_ms: Math.round(medianOf(bare)),
    rss_idle_mb: Math.round(idleMb),
    rss_after_calls_mb: Math.round(rssMb),
    calls,
    calls_per_second: Math.round(calls / seconds),
    ...envoy,
    rss_after_checks_mb: Math.round(megabytes(child.pid)),
  };
  client.close();
  if (values.json) console.log(JSON.stringify(report));
  else for (const [name, value] of Object.entries(report)) console.log(name.padEnd(20), value);
  const isWithin =
    report.rss_after_calls_mb <= goals.rssMb &&
    report.start_ms <= goals.startMs &&
    report.check_p999_ms < ENVOY_PATIENCE_MS;
  process.exitCode = isWithin ? 0 : 1;
} finally {
  if (last && last.child.exitCode === null) {
    last.child.kill('SIGTERM');
    await once(last.child, 'exit');
  }
  await house.stop();
  rmSync(folder, { recursive: true, force: true });
}
