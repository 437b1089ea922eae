import { rmSync } from 'node:fs';

import { runningServer } from './test-server.ts';

export default async function globalTeardown(): Promise<void> {
  await runningServer.stop?.();
  if (runningServer.dataDir) rmSync(runningServer.dataDir, { recursive: true, force: true });
}
