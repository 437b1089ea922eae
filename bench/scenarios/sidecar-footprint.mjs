import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { footprintRows } from '../footprint.mjs';
import { rowOf } from '../goals.mjs';
import { startSidecar } from '../sidecar.mjs';
import { trustHouse } from '../trust-house.mjs';

const REVOCATIONS = 1_000;
const TOKENS = 500;

/** Through a unix socket; the centre is this process. */
export async function run(plan) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-sidecar-'));
  const house = await trustHouse(REVOCATIONS);
  try {
    const rows = {
      start: rowOf('sidecar-footprint', 'sidecar-start'),
      memory: rowOf('sidecar-footprint', 'sidecar-memory'),
    };
    const start = () => startSidecar(house.address, `unix:${folder}/socket`, { pinned: false });
    return await footprintRows(rows, start, { tokens: await house.issue(TOKENS) }, plan);
  } finally {
    await house.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
