import { hostname, userInfo } from 'node:os';

import { expect, test } from '@jest/globals';

import { operator } from '../../src/cli/command.ts';
import { operatorName } from '../../src/cli/operator-name.ts';

test.each([
  ['a person on a server', { host: 'db-1', user: 'ann', sudoUser: null }, 'db-1/ann'],
  ['a person with sudo', { host: 'db-1', user: 'root', sudoUser: 'ann' }, 'db-1/ann(root)'],
  ['root with sudo', { host: 'db-1', user: 'root', sudoUser: 'root' }, 'db-1/root'],
  [
    'a domain account',
    { host: 'db-1.example.com', user: 'CORP\\ann', sudoUser: null },
    'db-1.example.com/CORP\\ann',
  ],
  [
    'an account that looks like an e-mail',
    { host: 'h', user: 'ann@corp.example', sudoUser: null },
    'h/ann_corp.example',
  ],
  [
    'a container without a name for its user',
    { host: '3f2a', user: 'uid-1001', sudoUser: null },
    '3f2a/uid-1001',
  ],
  ['control characters', { host: 'a\u001b[2J', user: 'b\nc\u202e', sudoUser: null }, 'a__2J/b_c_'],
  ['nothing', { host: '', user: '', sudoUser: null }, 'unknown/unknown'],
])('the audit trail names %s', (_who, machine, name) => {
  expect(operatorName(machine)).toBe(name);
});

test('a name of any length stays short', () => {
  const name = operatorName({
    host: 'h'.repeat(1_000),
    user: 'u'.repeat(1_000),
    sudoUser: 's'.repeat(1_000),
  });
  expect(name.length).toBeLessThan(300);
});

test('a command acts as the user and on the machine that run it', () => {
  expect(operator.type).toBe('operator');
  expect(operator.id).toContain(hostname());
  expect(operator.id).toContain(userInfo().username);
});
