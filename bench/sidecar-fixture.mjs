// The fixture of the sidecar scenarios.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { postern } from './measured-process.mjs';
import { startReady } from './token-fixture.mjs';
import { trustFixture } from './trust-fixture.mjs';

const REVOCATIONS = 1_000;

/**
 * Runs the work with a trust server in this process, which runs on the core of the load and is otherwise idle.
 *
 * @param {(tools: { fixture: object, nextSocket: () => string, startSidecar: (options?: object) => Promise<Server> }) => Promise<T>} work
 *   `startSidecar` starts a new sidecar on a unix socket of its own; `nextSocket` returns the address of another socket
 */
export async function withTrustServer(work) {
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
