// A sidecar as the scenarios measure it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postern } from './measured-process.mjs';
import { startReady } from './token-fixture.mjs';
import { trustFixture } from './trust-fixture.mjs';

const REVOCATIONS = 1_000;

/**
 * Does the work beside a centre, which is this process, on the load's core, and has nothing to do meanwhile.
 *
 * @param {(beside: { fixture: object, nextSocket: () => string, startSidecar: (options?: object) => Promise<Server> }) => Promise<T>} work
 *   `startSidecar`: a fresh one behind a unix socket of its own; `nextSocket`: another for whoever needs one
 */
export async function withSidecars(work) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-sidecars-'));
  const fixture = await trustFixture(REVOCATIONS);
  let sockets = 0;
  const nextSocket = () => `unix:${folder}/${String(sockets++)}`;
  const startSidecar = (options = {}) => {
    const environment = { POSTERN_GRPC_LISTEN: nextSocket(), POSTERN_HTTP_LISTEN: '127.0.0.1:0' };
    return startReady([postern, 'sidecar', '--upstream', fixture.address], { environment, ...options });
  };
  try {
    return await work({ fixture, nextSocket, startSidecar });
  } finally {
    await fixture.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
