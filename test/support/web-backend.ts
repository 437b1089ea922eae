import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { openAdminFixture } from './admin-fixture.ts';
import type { TestDatabase } from './test-database.ts';

const file = fileURLToPath(new URL('../../examples/web-backend/server.mjs', import.meta.url));

export interface WebBackend {
  readonly port: number;
  /** Ends it as a supervisor does. @returns exit code and signal */
  stop(): Promise<[number | null, string | null]>;
}

/**
 * Starts `examples/web-backend` with a service account of its own.
 *
 * @param origin its third argument
 */
export async function startWebBackend(
  postern: { readonly grpcAddress: string; readonly database: TestDatabase },
  name = 'web',
  { origin, environment }: { origin?: string; environment?: Readonly<Record<string, string>> } = {},
): Promise<WebBackend> {
  const { id, secret } = await (await openAdminFixture(postern.database)).createService(name);
  const words = [file, postern.grpcAddress, '0', ...(origin === undefined ? [] : [origin])];
  const child = spawn(process.execPath, words, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CLIENT_ID: id, CLIENT_SECRET: secret, ...environment },
  });
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
  const [line] = (await Promise.race([once(child.stdout, 'data'), ended])) as [unknown];
  if (!(line instanceof Buffer)) throw new Error('the back end ended before it listened');
  return {
    port: (JSON.parse(line.toString()) as { port: number }).port,
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}
