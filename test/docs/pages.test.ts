import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';

import { commands } from '../../src/cli/commands.ts';
import { exitCodesTable } from '../../src/cli/exit-codes.ts';
import { settingsTable } from '../../src/config/load-settings.ts';
import { telemetryNamesTable } from '../../src/config/telemetry/telemetry-names.ts';
import { AdminServiceService } from '../../src/generated/postern/v1/admin.ts';
import { AuthServiceService } from '../../src/generated/postern/v1/auth.ts';
import { Reason } from '../../src/generated/postern/v1/reason.ts';
import { callFieldsTable } from '../../src/observability/call-fields.ts';
import { metricsTable } from '../../src/observability/metrics/definitions.ts';
import { formats } from '../../src/passwords/formats/format-table.ts';

const file = (path: string) => new URL(`../../${path}`, import.meta.url);
const read = (path: string) => readFileSync(file(path), 'utf8');
const namesOf = (service: object) =>
  Object.values(service).map(({ path }: { path: string }) => path.split('/').at(-1) ?? '');

test.each([
  ['settings', 'docs/settings.md', settingsTable],
  ['exit codes', 'docs/cli.md', exitCodesTable],
  ['metrics', 'docs/metrics.md', metricsTable],
  ['variables', 'docs/telemetry.md', telemetryNamesTable],
  ['call fields', 'docs/telemetry.md', callFieldsTable],
])('the table of %s is generated from the program', (name, page, table) => {
  const [before = '', rest = ''] = read(page).split(`<!-- ${name} -->\n`);
  const after = rest.slice(rest.indexOf(`<!-- /${name} -->`));
  const expected = `${before}<!-- ${name} -->\n${table()}${after}`;
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file(page), expected);
  expect(read(page)).toBe(expected);
});

test('every command is in the table of commands', () => {
  const page = read('docs/cli.md');
  for (const { path } of commands) expect(page).toContain(path.length === 1 ? `postern ${path[0]}` : path[1]);
});

test('every RPC is in the table of its service', () => {
  for (const name of namesOf(AuthServiceService)) expect(read('docs/api.md')).toContain(`| \`${name}\` |`);
  for (const name of namesOf(AdminServiceService))
    expect(read('docs/administration.md')).toMatch(new RegExp(`^\\|.*\`${name}\``, 'm'));
});

test('every reason is in the table of refusals exactly once', () => {
  const reasons = Object.keys(Reason).filter(
    (name) => !['REASON_UNSPECIFIED', 'UNRECOGNIZED'].includes(name),
  );
  const [, table = ''] = read('docs/api.md').split('## Refusals');
  const documented = [...table.matchAll(/^\| [A-Z_]* ?\|(.*)\|.*\|$/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([A-Z_]+)`/g)].map(([, name]) => name),
  );
  expect(documented.sort()).toEqual(reasons.sort());
});

test('every password hash format is in the table of importable formats', () => {
  const page = read('docs/migrating.md');
  for (const { name } of formats) expect(page).toContain(`| \`${name}\` |`);
});

test('every path of health and metrics that a page names is in the table of paths', () => {
  const pages = ['README.md', 'SECURITY.md', ...readdirSync(file('docs')).map((name) => `docs/${name}`)];
  const named = pages
    .filter((page) => page.endsWith('.md'))
    .flatMap((page) =>
      [...read(page).matchAll(/`(\/(?:\w+z|metrics))`/g)].map(([, path]) => `${page} ${path}`),
    );
  const [, table = ''] = /^## HTTP\n(.*?)^## /ms.exec(read('docs/api.md')) ?? [];
  expect(named).toContain('docs/console.md /readyz');
  expect(named.filter((place) => !table.includes(`| \`${place.split(' ')[1]}\` |`))).toEqual([]);
});
