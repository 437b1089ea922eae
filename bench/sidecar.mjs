// A sidecar as the scenarios measure it.
import { postern } from './measured-process.mjs';
import { startReady } from './token-house.mjs';

/** @param {string} listen where, such as unix:PATH */
export function startSidecar(upstream, listen, options = {}) {
  const environment = { POSTERN_GRPC_LISTEN: listen, POSTERN_HTTP_LISTEN: '127.0.0.1:0' };
  return startReady([postern, 'sidecar', '--upstream', upstream], { environment, ...options });
}
