import { unlink } from 'node:fs/promises';
import { connect } from 'node:net';

/**
 * Removes a unix socket that a killed process left behind. A socket that still accepts connections stays, and so does a
 * path that is not a socket: binding to it then fails with EADDRINUSE.
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const errorCode = await new Promise<string | undefined>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  if (errorCode === 'ECONNREFUSED') await unlink(path);
}
