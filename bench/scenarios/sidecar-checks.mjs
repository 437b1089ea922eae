import { measureChecks } from '../envoy-checks.mjs';
import { rowOf } from '../goals.mjs';
import { figureRow } from '../measured-row.mjs';
import { spread } from '../pairs.mjs';
import { withTrustServer } from '../sidecar-fixture.mjs';

const TOKENS = 500;
const CHECKS = 20_000;
const QUICK_CHECKS = 2_000;
const IN_FLIGHT = 20;

/** This process is the caller. */
export function run(plan) {
  return withTrustServer(async ({ fixture, startSidecar }) => {
    const load = {
      tokens: await fixture.issue(TOKENS),
      checks: plan.quick ? QUICK_CHECKS : CHECKS,
      inFlight: IN_FLIGHT,
    };
    const samples = [];
    for (let round = 0; round < plan.pairs; round++) {
      const sidecar = await startSidecar();
      samples.push(await measureChecks(sidecar.grpc, load).finally(() => sidecar.stop()));
    }
    const all = (name) => samples.map((sample) => sample[name]);
    return [
      figureRow(rowOf('sidecar-checks'), all('check_p999_ms'), plan, {
        p50: spread(all('check_p50_ms')),
        p99: spread(all('check_p99_ms')),
        'calls per second': spread(all('checks_per_second')),
      }),
    ];
  });
}
