import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measureChecks } from '../envoy-checks.mjs';
import { rowOf } from '../goals.mjs';
import { figureRow } from '../measured-row.mjs';
import { spread } from '../pairs.mjs';
import { startSidecar } from '../sidecar.mjs';
import { trustHouse } from '../trust-house.mjs';

const REVOCATIONS = 1_000;
const TOKENS = 500;
const CHECKS = 20_000;
const QUICK_CHECKS = 2_000;
const IN_FLIGHT = 20;

/** Through a unix socket; the caller and the centre are this process, on the load's core. */
export async function run(plan) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-checks-'));
  const house = await trustHouse(REVOCATIONS);
  try {
    const tokens = await house.issue(TOKENS);
    const samples = [];
    for (let round = 0; round < plan.pairs; round++) {
      const sidecar = await startSidecar(house.address, `unix:${folder}/socket-${String(round)}`);
      const checks = plan.quick ? QUICK_CHECKS : CHECKS;
      samples.push(
        await measureChecks(sidecar.grpc, { tokens, checks, inFlight: IN_FLIGHT }).finally(() =>
          sidecar.stop(),
        ),
      );
    }
    const all = (name) => samples.map((sample) => sample[name]);
    return [
      figureRow(rowOf('sidecar-checks'), all('check_p999_ms'), plan, {
        p50: spread(all('check_p50_ms')),
        p99: spread(all('check_p99_ms')),
        'calls a second': spread(all('checks_per_second')),
      }),
    ];
  } finally {
    await house.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
