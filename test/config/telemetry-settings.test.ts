import { expect, test } from '@jest/globals';

import { loadSettings, SettingsError } from '../../src/config/load-settings.ts';
import { honouredNames, ineffectiveNames } from '../../src/config/telemetry/telemetry-names.ts';
import { readTelemetry } from '../../src/config/telemetry/telemetry-settings.ts';
import { createAuthority } from '../support/certificates.ts';

const URL = 'http://127.0.0.1:4318';
const authority = createAuthority('test');
const client = authority.issue({ dns: ['postern'] });
const files: Readonly<Record<string, string>> = { '/client.pem': client.cert, '/client.key': client.key };
const readPem = (path: string) => files[path] ?? authority.cert;
const read = (variables: Record<string, string>, readFile = readPem) =>
  readTelemetry(variables, 'serve', readFile);
const telemetryOf = (variables: Record<string, string>) => {
  const { telemetry, faults } = read(variables);
  expect(faults).toEqual([]);
  return telemetry;
};

test('without a variable nothing is sent', () => {
  expect(read({ HOME: '/root', OTEL_EXPORTER_OTLP_ENDPOINT: '' })).toEqual({
    telemetry: null,
    faults: [],
    warnings: [],
  });
});

test('R36 the defaults are those of the specification, and the path is appended to the common endpoint alone', () => {
  const telemetry = telemetryOf({ OTEL_EXPORTER_OTLP_ENDPOINT: `${URL}/` });
  expect(telemetry).toMatchObject({
    resource: { 'service.name': 'postern' },
    traces: {
      url: `${URL}/v1/traces`,
      protocol: 'http/protobuf',
      timeoutMs: 10_000,
      gzip: false,
      headers: {},
    },
    metrics: null,
    sampler: { kind: 'parentbased_always_on' },
    batch: { delayMs: 5_000, queueSize: 2_048, size: 512 },
  });
  const own = telemetryOf({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${URL}/own` });
  expect(own).toMatchObject({ traces: null, metrics: { url: `${URL}/own` } });
  expect(telemetryOf({ OTEL_TRACES_EXPORTER: 'otlp' })?.traces?.url).toBe('http://localhost:4318/v1/traces');
  const grpc = { OTEL_TRACES_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' };
  expect(telemetryOf(grpc)?.traces?.url).toBe('http://localhost:4317');
});

test('R36 a variable of a signal is preferred, and headers are joined', () => {
  const telemetry = telemetryOf({
    OTEL_EXPORTER_OTLP_ENDPOINT: URL,
    OTEL_METRICS_EXPORTER: 'otlp,prometheus',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_TIMEOUT: '500',
    OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: '700',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: 'none',
    OTEL_EXPORTER_OTLP_HEADERS: 'Api-Key=a%2Cb, x-team=login',
    OTEL_EXPORTER_OTLP_METRICS_HEADERS: 'x-team=metrics',
    OTEL_EXPORTER_OTLP_CERTIFICATE: '/ca.pem',
  });
  expect(telemetry?.traces).toMatchObject({
    protocol: 'http/json',
    timeoutMs: 500,
    gzip: false,
    headers: { 'api-key': 'a,b', 'x-team': 'login' },
    certificate: '/ca.pem',
  });
  expect(telemetry?.metrics).toMatchObject({
    url: URL,
    protocol: 'grpc',
    timeoutMs: 700,
    gzip: true,
    headers: { 'api-key': 'a,b', 'x-team': 'metrics' },
  });
});

test('R36 the service has the name of OTEL_SERVICE_NAME, or that of the attributes', () => {
  const named = (more: Record<string, string>) =>
    telemetryOf({ OTEL_EXPORTER_OTLP_ENDPOINT: URL, ...more })?.resource;
  const attributes = { OTEL_RESOURCE_ATTRIBUTES: 'service.name=shop%20login,team=a=b' };
  expect(named(attributes)).toEqual({ 'service.name': 'shop login', team: 'a=b' });
  expect(named({ ...attributes, OTEL_SERVICE_NAME: 'login' })).toMatchObject({ 'service.name': 'login' });
  const sidecar = readTelemetry({ OTEL_EXPORTER_OTLP_ENDPOINT: URL }, 'sidecar', () => '');
  expect(sidecar.telemetry?.resource).toEqual({ 'service.name': 'postern-sidecar' });
});

test('R36 OTEL_SDK_DISABLED, samplers, propagators and old attributes', () => {
  const on = { OTEL_EXPORTER_OTLP_ENDPOINT: URL };
  expect(telemetryOf({ ...on, OTEL_SDK_DISABLED: 'TRUE' })).toBeNull();
  expect(telemetryOf({ ...on, OTEL_SDK_DISABLED: 'false' })).not.toBeNull();
  expect(telemetryOf({ ...on, OTEL_TRACES_EXPORTER: 'none' })).toBeNull();
  const ratio = { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '.25' };
  expect(telemetryOf({ ...on, ...ratio })?.sampler).toEqual({ kind: 'traceidratio', ratio: 0.25 });
  expect(telemetryOf({ ...on, OTEL_PROPAGATORS: 'baggage' })?.followsCaller).toBe(false);
  const words = { OTEL_SEMCONV_STABILITY_OPT_IN: 'http, rpc/dup' };
  expect(telemetryOf({ ...on, ...words })?.writesOldAttributes).toBe(true);
});

test('R36 an endpoint of a signal turns that signal on, and either order of two exporters is read', () => {
  const traces = telemetryOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${URL}/own` });
  expect(traces).toMatchObject({ traces: { url: `${URL}/own` }, metrics: null });
  const metrics = telemetryOf({ OTEL_METRICS_EXPORTER: 'prometheus,otlp' });
  expect(metrics).toMatchObject({ traces: null, metrics: { url: 'http://localhost:4318/v1/metrics' } });
  const only = 'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE';
  expect(read({ [only]: 'CUMULATIVE' }).faults).toEqual([]);
});

test('R36 batches and intervals are those of their variables, and none is larger than what it is a part of', () => {
  const telemetry = telemetryOf({
    OTEL_EXPORTER_OTLP_ENDPOINT: URL,
    OTEL_BSP_SCHEDULE_DELAY: '11',
    OTEL_BSP_EXPORT_TIMEOUT: '12',
    OTEL_BSP_MAX_QUEUE_SIZE: '100',
    OTEL_METRIC_EXPORT_INTERVAL: '13',
  });
  expect(telemetry?.batch).toEqual({ delayMs: 11, timeoutMs: 12, queueSize: 100, size: 100 });
  expect(telemetry).toMatchObject({ metricIntervalMs: 13, metricTimeoutMs: 13 });
  const smaller = { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10', OTEL_METRIC_EXPORT_TIMEOUT: '14' };
  expect(telemetryOf({ OTEL_EXPORTER_OTLP_ENDPOINT: URL, ...smaller })).toMatchObject({
    batch: { size: 10 },
    metricTimeoutMs: 14,
  });
});

test('R36 a client certificate is that of its variables', () => {
  const variables = {
    OTEL_EXPORTER_OTLP_ENDPOINT: URL,
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: '/client.pem',
    OTEL_EXPORTER_OTLP_CLIENT_KEY: '/client.key',
  };
  expect(telemetryOf(variables)?.traces).toMatchObject({
    certificate: null,
    clientCertificate: '/client.pem',
    clientKey: '/client.key',
  });
});

test.each(['1.5', '-0.1', '1.0001', 'half'])('R37 the ratio %s is refused', (text) => {
  const variables = { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: text };
  expect(read(variables).faults).toEqual([
    'OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, such as 0.1',
  ]);
});

test.each([
  ['OTEL_SDK_DISABLED', 'yes'],
  ['OTEL_TRACES_EXPORTER', 'zipkin'],
  ['OTEL_TRACES_EXPORTER', 'otlp,none'],
  ['OTEL_METRICS_EXPORTER', 'console'],
  ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
  ['OTEL_TRACES_SAMPLER_ARG', '0.5'],
  ['OTEL_PROPAGATORS', 'b3'],
  ['OTEL_RESOURCE_ATTRIBUTES', 'a=1,b'],
  ['OTEL_RESOURCE_ATTRIBUTES', 'a=%zz'],
  ['OTEL_RESOURCE_ATTRIBUTES', 'a=%FF'],
  ['OTEL_SERVICE_NAME', 'a\nb'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4317'],
  ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'http://user:secret@collector'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'http'],
  ['OTEL_EXPORTER_OTLP_METRICS_PROTOCOL', 'GRPC'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'api key=secret'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'api-key=secret%0d%0aevil: 1'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'api-key=secret%C3%BC'],
  ['OTEL_EXPORTER_OTLP_TRACES_HEADERS', 'api-key-bin=secret'],
  ['OTEL_EXPORTER_OTLP_METRICS_HEADERS', 'api*key=secret'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http:///v1/traces'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '10s'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '99999999999'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '2147483648'],
  ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd'],
  ['OTEL_BSP_MAX_QUEUE_SIZE', '0'],
  ['OTEL_METRIC_EXPORT_INTERVAL', '-1'],
  ['OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE', 'delta'],
  ['OTEL_METRICS_EXEMPLAR_FILTER', 'always_on'],
])('R37 %s=%j is refused by its name, without its value', (name, text) => {
  const { faults } = read({ [name]: text });
  expect(faults).toEqual([expect.stringMatching(new RegExp(`^${name} (must|has|is)`))]);
  expect(faults.join()).not.toMatch(/secret|evil/);
});

test('R37 a file that cannot be read, and half of a client certificate, are refused', () => {
  const path = { OTEL_EXPORTER_OTLP_ENDPOINT: URL, OTEL_EXPORTER_OTLP_CLIENT_KEY: '/key.pem' };
  const unreadable = () => {
    throw new Error('EACCES');
  };
  expect(read(path, unreadable).faults).toEqual([
    expect.stringMatching(/^OTEL_EXPORTER_OTLP_CLIENT_KEY names a file that cannot be read/),
  ]);
  // A command of another user sends nothing, and needs no key.
  expect(readTelemetry(path, 'command', unreadable).faults.join()).not.toMatch(/cannot be read/);
  expect(read(path).faults).toContainEqual(expect.stringMatching(/CLIENT_CERTIFICATE and .* go together/));
});

test('R37 TLS files without a certificate or a key, or that do not belong together, are refused at the start', () => {
  const issued = authority.issue({ dns: ['postern'] });
  const files: Record<string, string> = {
    '/ca.pem': authority.cert,
    '/client.pem': issued.cert,
    '/key.pem': issued.key,
    '/other.pem': authority.issue({}).key,
    '/text': 'no PEM',
  };
  const faultsOf = (variables: Record<string, string>) =>
    read(
      { OTEL_EXPORTER_OTLP_ENDPOINT: URL, OTEL_METRICS_EXPORTER: 'otlp', ...variables },
      (path) => files[path] ?? '',
    ).faults;
  const PREFIX = 'OTEL_EXPORTER_OTLP';
  const pair = { [`${PREFIX}_CLIENT_CERTIFICATE`]: '/client.pem', [`${PREFIX}_CLIENT_KEY`]: '/key.pem' };
  expect(faultsOf({ ...pair, [`${PREFIX}_CERTIFICATE`]: '/ca.pem' })).toEqual([]);
  expect(faultsOf({ [`${PREFIX}_CERTIFICATE`]: '/text' })).toEqual([
    expect.stringMatching(/^OTEL_EXPORTER_OTLP_CERTIFICATE holds no certificate/),
  ]);
  expect(faultsOf({ [`${PREFIX}_METRICS_CERTIFICATE`]: '/text' })).toEqual([
    expect.stringMatching(/^OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE holds no certificate/),
  ]);
  expect(faultsOf({ ...pair, [`${PREFIX}_CLIENT_KEY`]: '/other.pem' })).toEqual([
    expect.stringMatching(/^OTEL_EXPORTER_OTLP_CLIENT_KEY is not the key/),
  ]);
});

test('R37 a variable without an effect is named in a warning, and refuses no start', () => {
  const { faults, warnings } = read({ OTEL_LOGS_EXPORTER: 'otlp', OTEL_NODE_RESOURCE_DETECTORS: 'all' });
  expect(faults).toEqual([]);
  expect(warnings).toEqual([
    'OTEL_LOGS_EXPORTER has no effect: logs are JSON lines on standard error, which a collector reads',
    'OTEL_NODE_RESOURCE_DETECTORS has no effect: Postern does not know it',
  ]);
});

test('no variable is both honoured and without an effect', () => {
  expect([...honouredNames].filter((name) => ineffectiveNames.has(name))).toEqual([]);
});

test('R37 these faults are among those of all settings, each once, and the warnings too', () => {
  const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector', OTEL_SDK_DISABLED: 'yes' };
  expect(() => loadSettings(variables)).toThrow(SettingsError);
  try {
    loadSettings(variables);
  } catch (error) {
    const { faults } = error as SettingsError;
    expect(faults.map((line) => line.split(' ')[0])).toEqual([
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'OTEL_SDK_DISABLED',
    ]);
  }
  const { telemetry, warnings } = loadSettings({ OTEL_LOGS_EXPORTER: 'otlp' });
  expect(telemetry).toBeNull();
  expect(warnings.join('\n')).toContain('OTEL_LOGS_EXPORTER has no effect');
});
