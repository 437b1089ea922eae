import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { anyPorts } from '../support/service-environment.ts';

const holder = createServer();
let taken: string;
beforeAll(async () => {
  await once(holder.listen(0, '127.0.0.1'), 'listening');
  taken = `127.0.0.1:${(holder.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await endEveryPostern();
  await once(holder.close(), 'close');
});

test.each(['POSTERN_GRPC_LISTEN', 'POSTERN_HTTP_LISTEN'])(
  '%s that another program holds is told in one line of our own',
  async (name) => {
    const { exitCode, stdout, stderr } = await runPostern(['sidecar', '--upstream', '127.0.0.1:1'], {
      environment: {
        ...anyPorts,
        [name]: taken,
      },
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.settings, stdout: '' });
    // Beside what is logged.
    const told = stderr.split('\n').filter((line) => !line.startsWith('{'));
    expect(told).toEqual([
      expect.stringContaining(`postern: ${taken} is in use`),
      expect.stringMatching(/POSTERN_GRPC_LISTEN .*POSTERN_HTTP_LISTEN /),
      '',
    ]);
  },
);
