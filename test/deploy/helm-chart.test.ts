import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';
import { parse } from 'yaml';

import { settingRows } from '../../src/config/settings-table.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const chart = join(root, 'deploy/helm/postern');
const read = (path: string) => readFileSync(path, 'utf8');
const isUpdate = process.env['UPDATE_DOCS'] === '1';

/** Settings that other values of the chart set. */
const ofTheChart = new Set([
  'POSTERN_ISSUER',
  'POSTERN_AUDIENCE',
  'POSTERN_GRPC_LISTEN',
  'POSTERN_HTTP_LISTEN',
  'POSTERN_TLS_CERT',
  'POSTERN_TLS_KEY',
  'POSTERN_TLS_CLIENT_CA',
  'POSTERN_INSECURE',
  'POSTERN_CONSOLE',
  'POSTERN_CONSOLE_LISTEN',
  'POSTERN_SHUTDOWN_DELAY',
  'POSTERN_RELAY',
  'POSTERN_TOKEN_FILE',
  'POSTERN_UPSTREAM_CA',
  // The same by Secrets.
  'DATABASE_URL',
  'POSTERN_MASTER_KEY',
  'POSTERN_MASTER_KEY_PREVIOUS',
]);
/** Settings that mean nothing in the pods of the chart. */
const notInPods = new Set([
  'POSTERN_CHANNELZ_LISTEN',
  'POSTERN_DATA_DIR',
  'POSTERN_CLIENT_ID',
  'POSTERN_CLIENT_SECRET',
]);

interface Schema {
  definitions: Record<'settings' | 'secretSettings', { properties: Record<string, unknown> }>;
}

function expectFile(path: string, text: string): void {
  if (isUpdate) writeFileSync(path, text);
  expect(read(path)).toBe(text);
}

test('R02 the schema of the values has the names of the settings table, so that a misspelt one is refused', () => {
  const path = join(chart, 'values.schema.json');
  const schema = JSON.parse(read(path)) as Schema;
  const free = Object.values(settingRows).filter(({ name }) => !ofTheChart.has(name) && !notInPods.has(name));
  const propertiesFor = (rows: typeof free, value: unknown) =>
    Object.fromEntries(rows.map(({ name }) => [name, value]));
  schema.definitions.settings.properties = propertiesFor(
    free.filter((row) => !row.isSecret),
    { type: ['string', 'integer', 'boolean'] },
  );
  schema.definitions.secretSettings.properties = propertiesFor(
    free.filter((row) => row.isSecret),
    { $ref: '#/definitions/secretKey' },
  );
  expect(Object.keys(schema.definitions.secretSettings.properties)).toContain('POSTERN_SECRET');
  expectFile(path, `${JSON.stringify(schema, null, 2)}\n`);
});

test('R02 the alerts and the dashboard of the chart are those of deploy/', () => {
  expectFile(join(chart, 'files/alerts.yml'), read(join(root, 'deploy/prometheus/alerts.yml')));
  expectFile(join(chart, 'files/postern.json'), read(join(root, 'deploy/grafana/postern.json')));
});

test('R02 the charts have the version of the package', () => {
  const { version } = JSON.parse(read(join(root, 'package.json'))) as { version: string };
  for (const name of ['postern', 'postern-sidecar']) {
    const { appVersion, version: ofChart } = parse(
      read(join(root, 'deploy/helm', name, 'Chart.yaml')),
    ) as Record<string, string>;
    expect([name, appVersion, ofChart]).toEqual([name, version, version]);
  }
});
