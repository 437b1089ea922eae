import { type Attributes, type HrTime, ValueType } from '@opentelemetry/api';
import { millisToHrTime } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  type HistogramMetricData,
  type MetricData,
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from '@opentelemetry/sdk-metrics';

import type { TelemetrySettings } from '../../config/telemetry/telemetry-settings.ts';
import { DurationHistogram } from '../../domain/histogram.ts';
import { type MetricDefinition, metricDefinitions, type MetricKey } from '../metrics/definitions.ts';
import { type Collectors, samplesOf } from '../metrics/exposition.ts';

type Samples = ReturnType<typeof samplesOf>;

/**
 * Sends the metrics of `/metrics` under the same names and labels. They are read from the same sources at each export, so that
 * they cost a call nothing.
 */
export function startMetricExport(
  collectors: Collectors,
  settings: TelemetrySettings,
  resource: Resource,
  exporter: PushMetricExporter,
): { stop(): Promise<void> } {
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: settings.metricIntervalMs,
    exportTimeoutMillis: settings.metricTimeoutMs,
    metricProducers: [
      {
        collect: () => {
          const metrics = readMetrics(collectors, Date.now());
          const scopeMetrics = [{ scope: { name: 'postern' }, metrics }];
          return Promise.resolve({ resourceMetrics: { resource, scopeMetrics }, errors: [] });
        },
      },
    ],
  });
  const provider = new MeterProvider({ resource, readers: [reader] });
  return { stop: () => provider.shutdown() };
}

/** The current values in the form of the SDK. */
export function readMetrics(collectors: Collectors, nowMs: number): MetricData[] {
  const times = { startTime: millisToHrTime(performance.timeOrigin), endTime: millisToHrTime(nowMs) };
  return (Object.keys(metricDefinitions) as MetricKey[]).flatMap((key) => {
    const collect = collectors[key];
    if (!collect) return [];
    const definition: MetricDefinition = metricDefinitions[key];
    const samples = samplesOf(collect());
    if (samples.length === 0) return [];
    if (definition.type !== 'histogram') return [numbers(definition, samples, times)];
    const histogram = histograms(definition, samples, times);
    return key === 'callDuration' ? [histogram, callDurations(samples, times)] : [histogram];
  });
}

interface Times {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
}

function numbers({ name, type, help, labels }: MetricDefinition, samples: Samples, times: Times): MetricData {
  const dataPoints = samples.flatMap(([values, value]) =>
    typeof value === 'number' ? [{ ...times, attributes: attributesOf(labels, values), value }] : [],
  );
  const common = { ...described(name, help), aggregationTemporality: AggregationTemporality.CUMULATIVE };
  return type === 'counter'
    ? { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
    : { ...common, dataPointType: DataPointType.GAUGE, dataPoints };
}

function histograms(
  { name, help, labels }: Pick<MetricDefinition, 'name' | 'help' | 'labels'>,
  samples: Samples,
  times: Times,
  more: Attributes = {},
): HistogramMetricData {
  return {
    ...described(name, help),
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: samples.flatMap(([values, value]) => {
      if (!(value instanceof DurationHistogram)) return [];
      const cumulative = value.cumulative();
      const counts = cumulative.map((count, index) => count - (cumulative[index - 1] ?? 0));
      const buckets = { boundaries: [...value.bounds], counts };
      const point = { buckets, sum: value.sumSeconds, count: cumulative.at(-1) ?? 0 };
      return [{ ...times, attributes: { ...more, ...attributesOf(labels, values) }, value: point }];
    }),
  };
}

/** The metric that the conventions for RPC name. */
function callDurations(samples: Samples, times: Times): HistogramMetricData {
  const definition = {
    name: 'rpc.server.call.duration',
    help: 'Measures the duration of inbound remote procedure calls (RPC).',
    labels: ['rpc.method'],
  };
  return histograms(definition, samples, times, { 'rpc.system.name': 'grpc' });
}

function described(name: string, description: string) {
  const isSeconds = /_seconds(_total)?$|\.duration$/.test(name);
  const unit = isSeconds ? 's' : /_bytes(_total)?$/.test(name) ? 'By' : '';
  return { descriptor: { name, description, unit, valueType: ValueType.DOUBLE } };
}

function attributesOf(labels: readonly string[], values: readonly string[]): Attributes {
  return Object.fromEntries(labels.map((label, index) => [label, values[index] ?? '']));
}
