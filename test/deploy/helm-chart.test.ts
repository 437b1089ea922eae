import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';
import { parse } from 'yaml';

import { settingRows } from '../../src/config/settings-table.ts';
import { honouredNames } from '../../src/config/telemetry/telemetry-names.ts';

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
  'POSTERN_UPSTREAM_CERT',
  'POSTERN_UPSTREAM_KEY',
  'POSTERN_POLICY_FILE',
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

/** Variables of OpenTelemetry that pods can have: those that name a file need a volume, and headers hold credentials. */
const telemetryNames = [...honouredNames].filter((name) => !/_(CERTIFICATE|CLIENT_KEY)$/.test(name));
const areHeaders = (name: string) => name.endsWith('_HEADERS');

interface ObjectSchema {
  additionalProperties?: unknown;
  properties?: Record<string, ObjectSchema>;
  required?: string[];
}
interface Schema extends ObjectSchema {
  definitions: Record<'settings' | 'secretSettings', { properties: Record<string, unknown> }>;
}

/** The types of YAML that mean a value of this setting. A duration without a unit is none, nor is `off` a boolean everywhere. */
function yamlTypes(parse: (text: string) => unknown): string[] {
  const isValue = (text: string) => {
    try {
      parse(text);
      return true;
    } catch {
      return false;
    }
  };
  return [
    'string',
    ...(['0', '1', '10', '1000', '100000'].some(isValue) ? ['integer'] : []),
    ...(['true', 'false'].every(isValue) ? ['boolean'] : []),
  ];
}

/** Null removes a default of Helm, and the templates would fail at a place that names no value. */
function requireDefaults(schema: ObjectSchema, defaults: Record<string, unknown>): void {
  const { properties } = schema;
  if (schema.additionalProperties !== false || !properties) return;
  // Of `resources` each part can be left out.
  if ('limits' in properties) return;
  for (const [name, value] of Object.entries(defaults)) {
    const property = properties[name];
    if (typeof value === 'object' && value !== null && property)
      requireDefaults(property, value as Record<string, unknown>);
    const isEmpty = !value || (typeof value === 'object' && Object.keys(value).length === 0);
    if (!isEmpty) schema.required = [...new Set([...(schema.required ?? []), name])];
  }
}

function expectFile(path: string, text: string): void {
  if (isUpdate) writeFileSync(path, text);
  expect(read(path)).toBe(text);
}

test('R02 the schema of the values has the names of the settings table, so that a misspelt one is refused', () => {
  const path = join(chart, 'values.schema.json');
  const schema = JSON.parse(read(path)) as Schema;
  const free = Object.values(settingRows).filter(({ name }) => !ofTheChart.has(name) && !notInPods.has(name));
  const plain = free.filter((row) => !row.isSecret && !honouredNames.has(row.name));
  schema.definitions.settings.properties = Object.fromEntries([
    ...plain.map(({ name, parse }): [string, unknown] => [name, { type: yamlTypes(parse) }]),
    ...telemetryNames
      .filter((name) => !areHeaders(name))
      .map((name): [string, unknown] => [name, { type: ['string', 'number', 'boolean'] }]),
  ]);
  const secretNames = [
    ...free.filter((row) => row.isSecret).map(({ name }) => name),
    ...telemetryNames.filter(areHeaders),
  ];
  const secretKey = { $ref: '#/definitions/secretKey' };
  schema.definitions.secretSettings.properties = Object.fromEntries(
    secretNames.map((name) => [name, secretKey]),
  );
  expect(secretNames).toContain('POSTERN_SECRET');
  requireDefaults(schema, parse(read(join(chart, 'values.yaml'))) as Record<string, unknown>);
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
