/** One variable of the OpenTelemetry specification, for the documentation. */
interface TelemetryName {
  readonly name: string;
  readonly values: string;
  readonly meaning: string;
}

const row = (name: string, values: string, meaning: string): TelemetryName => ({ name, values, meaning });

/** Those of an exporter: for all signals, for traces and for metrics. The one of the signal is preferred. */
const exporterRows = (suffix: string, values: string, meaning: string): TelemetryName[] =>
  ['', 'TRACES_', 'METRICS_'].map((signal) =>
    row(
      `OTEL_EXPORTER_OTLP_${signal}${suffix}`,
      values,
      signal === '' ? meaning : `The same for ${signal === 'TRACES_' ? 'traces' : 'metrics'} alone.`,
    ),
  );

const honoured: readonly TelemetryName[] = [
  row('OTEL_SDK_DISABLED', '`false`', '`true` sends nothing, whatever else is set.'),
  row('OTEL_SERVICE_NAME', '`postern`, `postern-sidecar`', 'The resource attribute `service.name`.'),
  row(
    'OTEL_RESOURCE_ATTRIBUTES',
    'none',
    'More attributes of the resource: `NAME=VALUE` pairs separated by commas, percent-encoded.',
  ),
  row(
    'OTEL_TRACES_EXPORTER',
    '`otlp` with an endpoint, otherwise `none`',
    '`otlp` without an endpoint sends to `localhost`. Other exporters are refused.',
  ),
  row(
    'OTEL_METRICS_EXPORTER',
    '`otlp` with `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, otherwise `none`',
    '`otlp`, `prometheus` (`/metrics`, which is served in any case), both, or `none`.',
  ),
  ...exporterRows(
    'ENDPOINT',
    '`http://localhost:4318`; `grpc` `http://localhost:4317`',
    'The collector. `v1/traces` and `v1/metrics` are appended, not so to the two below.',
  ).map((one) =>
    one.name === 'OTEL_EXPORTER_OTLP_ENDPOINT'
      ? one
      : { ...one, values: 'absent', meaning: `${one.meaning} Used as it is.` },
  ),
  ...exporterRows('PROTOCOL', '`http/protobuf`', '`http/protobuf`, `http/json` or `grpc`.'),
  ...exporterRows(
    'HEADERS',
    'none',
    'Headers of each request, `NAME=VALUE` pairs as above. Those of a signal are added.',
  ),
  ...exporterRows('TIMEOUT', '`10000`', 'Milliseconds for one export, retries included.'),
  ...exporterRows('COMPRESSION', '`none`', '`gzip` or `none`.'),
  ...exporterRows('CERTIFICATE', 'absent', 'A PEM file with the CA certificates for the collector.'),
  ...exporterRows('CLIENT_CERTIFICATE', 'absent', 'A PEM file with a client certificate for the collector.'),
  ...exporterRows('CLIENT_KEY', 'absent', 'A PEM file with the key of the client certificate.'),
  row(
    'OTEL_TRACES_SAMPLER',
    '`parentbased_always_on`',
    '`always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`.',
  ),
  row('OTEL_TRACES_SAMPLER_ARG', '`1`', 'The ratio of `traceidratio`, from 0 to 1.'),
  row(
    'OTEL_PROPAGATORS',
    '`tracecontext,baggage`',
    'Without `tracecontext`, `traceparent` is not read. Baggage is never read. Others are refused.',
  ),
  row(
    'OTEL_SEMCONV_STABILITY_OPT_IN',
    '`rpc`',
    '`rpc/dup` writes the attributes of before the stable conventions, too. Other words are for other programs.',
  ),
  row('OTEL_BSP_SCHEDULE_DELAY', '`5000`', 'Milliseconds between two exports of spans.'),
  row('OTEL_BSP_EXPORT_TIMEOUT', '`30000`', 'Milliseconds after which the next spans no longer wait.'),
  row('OTEL_BSP_MAX_QUEUE_SIZE', '`2048`', 'Spans that wait at most; more are dropped.'),
  row('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', '`512`', 'Spans in one export at most.'),
  row('OTEL_METRIC_EXPORT_INTERVAL', '`60000`', 'Milliseconds between two exports of metrics.'),
  row('OTEL_METRIC_EXPORT_TIMEOUT', '`30000`', 'Milliseconds for one export of metrics.'),
  row('OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE', '`cumulative`', 'Others are refused.'),
  row(
    'OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION',
    '`explicit_bucket_histogram`',
    'Others are refused.',
  ),
  row('OTEL_METRICS_EXEMPLAR_FILTER', '`trace_based`', 'Others are refused.'),
];

const LOGS = 'logs are JSON lines on standard error, which a collector reads';
const LIMITS = 'a span of Postern has at most 20 attributes, and no events and links';
const PROMETHEUS = 'POSTERN_HTTP_LISTEN serves /metrics';
const INSECURE = 'the scheme of the endpoint, http or https, decides';

/** Variables of the specification that change nothing here, and why. */
export const ineffectiveNames: ReadonlyMap<string, string> = new Map([
  ...['OTEL_LOGS_EXPORTER', 'OTEL_LOG_LEVEL'].map((name): [string, string] => [name, LOGS]),
  ...['ENDPOINT', 'PROTOCOL', 'HEADERS', 'TIMEOUT', 'COMPRESSION', 'CERTIFICATE', 'INSECURE'].map(
    (suffix): [string, string] => [`OTEL_EXPORTER_OTLP_LOGS_${suffix}`, LOGS],
  ),
  ...['SCHEDULE_DELAY', 'EXPORT_TIMEOUT', 'MAX_QUEUE_SIZE', 'MAX_EXPORT_BATCH_SIZE'].map(
    (suffix): [string, string] => [`OTEL_BLRP_${suffix}`, LOGS],
  ),
  ...['OTEL_EXPORTER_OTLP_INSECURE', 'OTEL_EXPORTER_OTLP_TRACES_INSECURE'].map((name): [string, string] => [
    name,
    INSECURE,
  ]),
  ['OTEL_EXPORTER_OTLP_METRICS_INSECURE', INSECURE],
  ...[
    'OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT',
    'OTEL_ATTRIBUTE_COUNT_LIMIT',
    'OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT',
    'OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT',
    'OTEL_SPAN_EVENT_COUNT_LIMIT',
    'OTEL_SPAN_LINK_COUNT_LIMIT',
    'OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT',
    'OTEL_LINK_ATTRIBUTE_COUNT_LIMIT',
  ].map((name): [string, string] => [name, LIMITS]),
  ['OTEL_EXPORTER_ZIPKIN_ENDPOINT', 'traces are sent by OTLP'],
  ['OTEL_EXPORTER_ZIPKIN_TIMEOUT', 'traces are sent by OTLP'],
  ['OTEL_EXPORTER_PROMETHEUS_HOST', PROMETHEUS],
  ['OTEL_EXPORTER_PROMETHEUS_PORT', PROMETHEUS],
  ['OTEL_CONFIG_FILE', 'Postern reads variables alone'],
  ['OTEL_EXPERIMENTAL_CONFIG_FILE', 'Postern reads variables alone'],
]);

export const honouredNames: ReadonlySet<string> = new Set(honoured.map(({ name }) => name));

/** The variables as a Markdown table, for docs/telemetry.md. */
export function telemetryNamesTable(): string {
  const lines = [
    ...honoured.map(({ name, values, meaning }) => `| \`${name}\` | ${values} | ${meaning} |`),
    ...[...ineffectiveNames].map(([name, reason]) => `| \`${name}\` | – | No effect: ${reason}. |`),
  ];
  return ['| name | default | meaning |', '|---|---|---|', ...lines, ''].join('\n');
}
