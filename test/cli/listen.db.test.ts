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
      expect.stringMatching(/POSTERN_GRPC_LISTEN, POSTERN_HTTP_LISTEN, .*POSTERN_CONSOLE_LISTEN/),
      '',
    ]);
  },
);

test.each([
  ['POSTERN_GRPC_LISTEN', 'no-such-host.invalid:0'],
  ['POSTERN_HTTP_LISTEN', 'no-such-host.invalid:0'],
  ['POSTERN_GRPC_LISTEN', '192.0.2.1:0'],
  ['POSTERN_HTTP_LISTEN', '192.0.2.1:0'],
  ['POSTERN_GRPC_LISTEN', '[2001:db8::1]:0'],
  ['POSTERN_HTTP_LISTEN', '[fe80::1%none]:0'],
])('%s: %s, which is no address of this machine, is a fault of the settings', async (name, address) => {
  const { exitCode, stdout, stderr } = await runPostern(['sidecar', '--upstream', '127.0.0.1:1'], {
    environment: { ...anyPorts, POSTERN_INSECURE: 'true', [name]: address },
  });
  expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.settings, stdout: '' });
  const notices = stderr.split('\n').filter((line) => !line.startsWith('{'));
  expect(notices).toEqual([
    expect.stringMatching(
      /^postern: listen E[A-Z_]+: .*(no-such-host\.invalid|192\.0\.2\.1|2001:db8::1|fe80::1)/,
    ),
    expect.stringMatching(/POSTERN_GRPC_LISTEN, POSTERN_HTTP_LISTEN, .*POSTERN_CONSOLE_LISTEN/),
    '',
  ]);
});
