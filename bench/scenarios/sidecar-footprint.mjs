import { footprintRows } from '../footprint.mjs';
import { rowOf } from '../goals.mjs';
import { withTrustServer } from '../sidecar-fixture.mjs';

const TOKENS = 500;

export function run(plan) {
  return withTrustServer(async ({ fixture, startSidecar }) => {
    const rows = {
      start: rowOf('sidecar-footprint', 'sidecar-start'),
      memory: rowOf('sidecar-footprint', 'sidecar-memory'),
    };
    const tokens = await fixture.issue(TOKENS);
    return footprintRows(rows, () => startSidecar({ pinned: false }), { tokens }, plan);
  });
}
