import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { commands } from '../../src/cli/commands.ts';
import { runHere } from '../support/run-here.ts';

const password = 'correct horse battery';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'postern-data-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The arguments with which each command gets as far as the database. */
const argumentsOf: Readonly<Record<string, readonly string[]>> = {
  'user create': ['--email', 'ann@example.com', '--password-stdin'],
  'user list': [],
  'user disable': ['--email', 'ann@example.com'],
  'user enable': ['--email', 'ann@example.com'],
  'user set-role': ['--email', 'ann@example.com', '--none'],
  'user set-email': ['--email', 'ann@example.com', '--to', 'bob@example.com'],
  'user delete': ['--email', 'ann@example.com'],
  'user import': ['-', '--format', 'jsonl'],
  'user reset-password': ['--email', 'ann@example.com'],
  'user factors': ['--email', 'ann@example.com'],
  'user enrol-totp': ['--email', 'ann@example.com'],
  'user reset-factors': ['--email', 'ann@example.com'],
  'session list': ['--email', 'ann@example.com'],
  'session revoke': ['0198c0de-aaaa-7000-8000-0123456789ab'],
  'session end-all': [],
  'service create': ['api'],
  'service list': [],
  'service change': ['api', '--no-roles'],
  'service delete': ['api'],
  'service rotate': ['api'],
  'service key add': ['api', '-'],
  'service key list': ['api'],
  'service key delete': ['api', 'abc'],
  'service bind': ['api', '--certificate', 'spiffe://example.org/api'],
  'service bindings': [],
  'service unbind': ['0198c0de-aaaa-7000-8000-0123456789ab'],
  'api-key create': ['backup', '--service', 'api'],
  'api-key list': [],
  'api-key revoke': ['0198c0de-aaaa-7000-8000-0123456789ab'],
  'api-key rotate': ['0198c0de-aaaa-7000-8000-0123456789ab'],
  'issuer add': ['https://issuer.example'],
  'issuer list': [],
  'issuer set-keys': ['https://issuer.example', '--jwks-url', 'https://issuer.example/jwks'],
  'issuer disable': ['https://issuer.example'],
  'issuer enable': ['https://issuer.example'],
  'issuer delete': ['https://issuer.example'],
  'audience add': ['orders'],
  'audience list': [],
  'audience delete': ['orders'],
  'key list': [],
  'key rotate': [],
  'key revoke': ['abc'],
  'key rewrap': [],
  'audit list': [],
};
const others = [
  'serve',
  'sidecar',
  'migrate',
  'doctor',
  'login',
  'token inspect',
  'token explain-exchange',
  'policy check',
  'policy envoy',
  'policy gateway',
];

test('every command either needs data, or is listed as one that does not', () => {
  expect([...Object.keys(argumentsOf), ...others].sort()).toEqual(
    commands.map(({ path }) => path.join(' ')).sort(),
  );
});

test.each(Object.entries(argumentsOf))(
  'before the first start %s reports that there is no data, and creates none',
  async (command, rest) => {
    const dataDir = join(folder, 'nothing yet');
    const { exitCode, stdout, stderr } = await runHere([...command.split(' '), ...rest], {
      environment: { POSTERN_DATA_DIR: dataDir },
      stdin: password,
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 5, stdout: '' });
    expect(stderr).toContain(dataDir);
    expect(existsSync(dataDir)).toBe(false);
  },
);
