import { unlink } from 'node:fs/promises';
import { connect } from 'node:net';

/**
 * Removes a unix socket that a killed process left behind. One that somebody still answers on stays, so that binding
 * to it fails with EADDRINUSE; so does a path that is no socket.
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const fault = await new Promise<string | undefined>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  if (fault === 'ECONNREFUSED') await unlink(path);
}
