import { readFileSync, writeFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';

import { commands } from '../../src/cli/commands.ts';
import { exitCodesTable } from '../../src/cli/exit-codes.ts';
import { settingsTable } from '../../src/config/load-settings.ts';
import { AuthServiceService } from '../../src/generated/postern/v1/auth.ts';

const file = new URL('../../README.md', import.meta.url);
const readme = readFileSync(file, 'utf8');

test.each([
  ['settings', settingsTable],
  ['exit codes', exitCodesTable],
])('the table of %s is the one that the program goes by', (name, table) => {
  const now = readFileSync(file, 'utf8');
  const [before = '', rest = ''] = now.split(`<!-- ${name} -->\n`);
  const after = rest.slice(rest.indexOf(`<!-- /${name} -->`));
  const expected = `${before}<!-- ${name} -->\n${table()}${after}`;
  if (process.env['UPDATE_README'] === '1') writeFileSync(file, expected);
  expect(readFileSync(file, 'utf8')).toBe(expected);
});

test('every RPC and every command is in its table', () => {
  for (const { path } of Object.values(AuthServiceService))
    expect(readme).toContain(`| \`${path.split('/').at(-1) ?? ''}\` |`);
  for (const { path } of commands)
    expect(readme).toContain(path.length === 1 ? `postern ${path[0]}` : path[1]);
});
