import type { Environment, SettingsPurpose } from '../setting-values.ts';
import { InvalidSetting } from '../setting-parsers.ts';
import { listens } from '../setting-warnings.ts';
import { telemetryFileFaults } from './telemetry-file-faults.ts';
import * as value from './telemetry-parsers.ts';
import { honouredNames, ineffectiveNames } from './telemetry-names.ts';

export type OtlpProtocol = 'http/protobuf' | 'http/json' | 'grpc';
export type Signal = 'traces' | 'metrics';

/** Where and how one signal is sent. */
export interface OtlpSettings {
  /** With the path of the signal; for `grpc` only scheme, host and port count. */
  readonly url: string;
  readonly protocol: OtlpProtocol;
  /** May hold credentials: never logged. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly gzip: boolean;
  /** Paths of PEM files. */
  readonly certificate: string | null;
  readonly clientCertificate: string | null;
  readonly clientKey: string | null;
}

/** What OpenTelemetry sends, by the standard variables of its specification. */
export interface TelemetrySettings {
  readonly resource: Readonly<Record<string, string>> & { readonly 'service.name': string };
  readonly traces: OtlpSettings | null;
  readonly metrics: OtlpSettings | null;
  readonly sampler: value.Sampler;
  /** Whether the caller's `traceparent` is the parent of its span. */
  readonly followsCaller: boolean;
  /** Whether the attributes of the experimental conventions are written beside the stable ones. */
  readonly writesOldAttributes: boolean;
  readonly batch: {
    readonly delayMs: number;
    readonly timeoutMs: number;
    readonly queueSize: number;
    readonly size: number;
  };
  readonly metricIntervalMs: number;
  readonly metricTimeoutMs: number;
}

/** The settings, null when nothing is sent, with a line for each fault and for each variable without an effect. */
export interface TelemetryRead {
  readonly telemetry: TelemetrySettings | null;
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
}

const DEFAULT_ENDPOINT = { http: 'http://localhost:4318', grpc: 'http://localhost:4317' };
const SIGNAL_PATH: Readonly<Record<Signal, string>> = { traces: 'v1/traces', metrics: 'v1/metrics' };

/**
 * Reads the variables that begin with OTEL_. The SDK would ignore a wrong value in silence; here it is a fault, since telemetry
 * that is missing is noticed when it is needed.
 */
export function readTelemetry(
  variables: Environment,
  purpose: SettingsPurpose,
  readFile: (path: string) => string,
): TelemetryRead {
  const faults: string[] = [];
  const names = Object.keys(variables).filter((name) => name.startsWith('OTEL_') && variables[name] !== '');
  const read = <T>(name: string, parse: (text: string) => T, fallback: T): T => {
    const text = variables[name] ?? '';
    if (text === '') return fallback;
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof InvalidSetting)) throw error;
      const line = `${name} ${error.message}`;
      if (!faults.includes(line)) faults.push(line);
      return fallback;
    }
  };
  /** The variable of the signal, otherwise that of all signals. */
  const ofSignal = <T>(signal: Signal, suffix: string, parse: (text: string) => T, fallback: T): T =>
    read(
      `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${suffix}`,
      parse,
      read(`OTEL_EXPORTER_OTLP_${suffix}`, parse, fallback),
    );
  const file = (signal: Signal, suffix: string) =>
    ofSignal<string | null>(
      signal,
      suffix,
      listens(purpose) ? value.readableFile(readFile) : value.anyPath,
      null,
    );

  const otlp = (signal: Signal): OtlpSettings => {
    const protocol = ofSignal<OtlpProtocol>(signal, 'PROTOCOL', value.protocol, 'http/protobuf');
    const common = read(
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      value.endpoint,
      DEFAULT_ENDPOINT[protocol === 'grpc' ? 'grpc' : 'http'],
    );
    const base = protocol === 'grpc' ? common : `${common.replace(/\/$/, '')}/${SIGNAL_PATH[signal]}`;
    return {
      url: read(`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`, value.endpoint, base),
      protocol,
      headers: {
        ...read('OTEL_EXPORTER_OTLP_HEADERS', value.headers, {}),
        ...read(`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_HEADERS`, value.headers, {}),
      },
      timeoutMs: ofSignal(signal, 'TIMEOUT', value.milliseconds, 10_000),
      gzip: ofSignal(signal, 'COMPRESSION', value.compression, false),
      certificate: file(signal, 'CERTIFICATE'),
      clientCertificate: file(signal, 'CLIENT_CERTIFICATE'),
      clientKey: file(signal, 'CLIENT_KEY'),
    };
  };
  const isSet = (name: string) => names.includes(name);
  const exporter = (signal: Signal, choices: Readonly<Record<string, boolean>>, fallback: boolean) =>
    read(`OTEL_${signal.toUpperCase()}_EXPORTER`, value.exporters(choices), fallback);

  const sendsTraces = exporter(
    'traces',
    { otlp: true, none: false },
    isSet('OTEL_EXPORTER_OTLP_ENDPOINT') || isSet('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'),
  );
  const sendsMetrics = exporter(
    'metrics',
    { otlp: true, prometheus: false, none: false },
    isSet('OTEL_EXPORTER_OTLP_METRICS_ENDPOINT'),
  );
  const attributes = read('OTEL_RESOURCE_ATTRIBUTES', value.resourceAttributes, {});
  const defaultName = purpose === 'sidecar' ? 'postern-sidecar' : 'postern';
  const samplerKind = read('OTEL_TRACES_SAMPLER', value.samplerKind, 'parentbased_always_on');
  const intervalMs = read('OTEL_METRIC_EXPORT_INTERVAL', value.milliseconds, 60_000);
  const queueSize = read('OTEL_BSP_MAX_QUEUE_SIZE', value.positive, 2_048);
  const settings: TelemetrySettings = {
    resource: {
      ...attributes,
      'service.name': read('OTEL_SERVICE_NAME', value.serviceName, attributes['service.name'] || defaultName),
    },
    // Read for both signals, so that every fault is reported, used or not.
    traces: keepIf(sendsTraces, otlp('traces')),
    metrics: keepIf(sendsMetrics, otlp('metrics')),
    sampler: { kind: samplerKind, ratio: read('OTEL_TRACES_SAMPLER_ARG', value.ratio(samplerKind), 1) },
    followsCaller: read('OTEL_PROPAGATORS', value.propagators, true),
    writesOldAttributes: read('OTEL_SEMCONV_STABILITY_OPT_IN', value.writesOldAttributes, false),
    batch: {
      delayMs: read('OTEL_BSP_SCHEDULE_DELAY', value.milliseconds, 5_000),
      timeoutMs: read('OTEL_BSP_EXPORT_TIMEOUT', value.milliseconds, 30_000),
      queueSize,
      size: Math.min(queueSize, read('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', value.positive, 512)),
    },
    metricIntervalMs: intervalMs,
    metricTimeoutMs: Math.min(intervalMs, read('OTEL_METRIC_EXPORT_TIMEOUT', value.milliseconds, 30_000)),
  };
  for (const name of ['TEMPORALITY_PREFERENCE', 'DEFAULT_HISTOGRAM_AGGREGATION'] as const)
    read(`OTEL_EXPORTER_OTLP_METRICS_${name}`, value.only(onlyChoice[name]), null);
  read('OTEL_METRICS_EXEMPLAR_FILTER', value.only('trace_based'), null);
  const isDisabled = read('OTEL_SDK_DISABLED', value.flag, false);
  const isUsed = settings.traces !== null || settings.metrics !== null;
  return {
    telemetry: !isDisabled && isUsed ? settings : null,
    faults: [
      ...faults,
      ...pairFaults(settings),
      ...(listens(purpose) ? telemetryFileFaults(settings, variables, readFile) : []),
    ],
    warnings: names.flatMap((name) => warningAbout(name)),
  };
}

const onlyChoice = {
  TEMPORALITY_PREFERENCE: 'cumulative',
  DEFAULT_HISTOGRAM_AGGREGATION: 'explicit_bucket_histogram',
};

function keepIf<T>(condition: boolean, settings: T): T | null {
  return condition ? settings : null;
}

function pairFaults({ traces, metrics }: TelemetrySettings): string[] {
  const isHalf = (otlp: OtlpSettings | null) =>
    otlp !== null && (otlp.clientCertificate === null) !== (otlp.clientKey === null);
  if (!isHalf(traces) && !isHalf(metrics)) return [];
  return [
    'OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY go together; set both or neither',
  ];
}

/** What has no effect is no fault: the variables of a whole cluster are often set for all programs at once. */
function warningAbout(name: string): string[] {
  if (honouredNames.has(name)) return [];
  const reason = ineffectiveNames.get(name);
  return [
    reason === undefined
      ? `${name} has no effect: Postern does not know it`
      : `${name} has no effect: ${reason}`,
  ];
}
