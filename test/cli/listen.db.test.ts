import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { anyPorts } from '../support/service-environment.ts';

const occupant = createServer();
let taken: string;
beforeAll(async () => {
  await once(occupant.listen(0, '127.0.0.1'), 'listening');
  taken = `127.0.0.1:${(occupant.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await endEveryPostern();
  await once(occupant.close(), 'close');
});

test.each(['POSTERN_GRPC_LISTEN', 'POSTERN_HTTP_LISTEN'])(
  '%s: an address in use is reported in one line, with advice',
  async (name) => {
    const { exitCode, stdout, stderr } = await runPostern(['sidecar', '--upstream', '127.0.0.1:1'], {
      environment: {
        ...anyPorts,
        [name]: taken,
      },
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.settings, stdout: '' });
    const notices = stderr.split('\n').filter((line) => !line.startsWith('{'));
    expect(notices).toEqual([
      expect.stringMatching(new RegExp(`^postern: ${taken} is in use`)),
      expect.stringMatching(/POSTERN_GRPC_LISTEN .*POSTERN_HTTP_LISTEN/),
      '',
    ]);
  },
);
