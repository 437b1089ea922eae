// How long a revoked token stays valid: from RevokeToken's OK on one service to the first refusal on another.
// node test/soak/revocation-delay.mjs [--revokes 500] [--cuts 100] [--duration SECONDS] [--json]   (after `npm run build`)
// In `cut` rounds the other service's listening connection is terminated at the moment of the revoke. With --duration
// it runs for so long, in rounds of the given size. Exits with 1 beyond p50 20 ms, p99 100 ms, or 1 s when cut.
import { parseArgs } from 'node:util';
import { openBenchService, password, percentile } from '../../bench/bench-service.mjs';

const { values } = parseArgs({
  options: {
    revokes: { type: 'string', default: '500' },
    cuts: { type: 'string', default: '100' },
    duration: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
  },
});
const goals = { p50Ms: 20, p99Ms: 100, cutMs: 1_000 };
const GIVE_UP_MS = 10_000;
const email = 'bench@example.com';

const fixture = await openBenchService();
await fixture.addUser(email);
const [here, there] = [await fixture.serve(), await fixture.serve()];

async function login(service) {
  const { response, verdict } = await service.call('Login', { email, password });
  if (!response) throw new Error(`login: ${verdict}`);
  return response;
}

async function delayOf(tokens, cut) {
  const terminate = () =>
    fixture.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
      `postern alarm ${there.pid}`,
    ]);
  const cutting = cut ? terminate() : undefined;
  const { verdict } = await here.call('RevokeToken', { token: tokens.refresh_token });
  if (verdict !== 'OK') throw new Error(`revoke: ${verdict}`);
  const startMs = performance.now();
  for (;;) {
    const { verdict: found } = await there.call('VerifyToken', { access_token: tokens.access_token });
    const delayMs = performance.now() - startMs;
    if (found === 'TOKEN_REVOKED') {
      await cutting;
      return delayMs;
    }
    if (found !== 'OK' || delayMs > GIVE_UP_MS) throw new Error(`verify: ${found} after ${delayMs} ms`);
  }
}

async function measure(count, cut) {
  const delays = [];
  while (delays.length < count) {
    const [one, two] = await Promise.all([login(here), login(there)]);
    for (const tokens of [one, two]) {
      const { verdict } = await there.call('VerifyToken', { access_token: tokens.access_token });
      if (verdict !== 'OK') throw new Error(`before the revoke: ${verdict}`);
      delays.push(await delayOf(tokens, cut));
    }
  }
  return delays;
}

function report(what, delays) {
  const sorted = delays.toSorted((a, b) => a - b);
  const result = {
    what,
    revokes: sorted.length,
    p50Ms: Number(percentile(sorted, 0.5).toFixed(1)),
    p99Ms: Number(percentile(sorted, 0.99).toFixed(1)),
    maxMs: Number(sorted.at(-1).toFixed(1)),
  };
  if (values.json) console.log(JSON.stringify(result));
  else
    console.log(
      `${what}: ${result.revokes} revokes, p50 ${result.p50Ms} ms, p99 ${result.p99Ms} ms, max ${result.maxMs} ms`,
    );
  return result;
}

try {
  const [usual, cut] = [[], []];
  const endMs = performance.now() + Number(values.duration) * 1000;
  do {
    usual.push(...(await measure(Number(values.revokes), false)));
    cut.push(...(await measure(Number(values.cuts), true)));
  } while (performance.now() < endMs);
  const { p50Ms, p99Ms } = report('listening', usual);
  const { maxMs } = report('cut', cut);
  process.exitCode = p50Ms <= goals.p50Ms && p99Ms <= goals.p99Ms && maxMs <= goals.cutMs ? 0 : 1;
} finally {
  await fixture.stop();
}
