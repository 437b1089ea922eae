import { DurationHistogram } from '../../domain/histogram.ts';
import { type MetricDefinition, metricDefinitions, type MetricKey } from './definitions.ts';

type Value = number | DurationHistogram;

/** The current samples of a metric: one value, values with labels in the order of the definition, or null for none. */
export type Samples = Value | null | readonly (readonly [labels: readonly string[], value: Value])[];

/** A function for each metric that reads its samples. Metrics that a process does not have are left out. */
export type Collectors = { readonly [Key in MetricKey]?: () => Samples };

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Renders the metrics in the Prometheus text format, 0.0.4. prom-client is not used: it stores every value a second
 * time under a hash of its labels, and loads OpenTelemetry.
 */
export function expose(collectors: Collectors): string {
  const families = (Object.keys(metricDefinitions) as MetricKey[]).flatMap((key) => {
    const collect = collectors[key];
    return collect ? [family(metricDefinitions[key], collect())] : [];
  });
  return families.join('');
}

function family(definition: MetricDefinition, collected: Samples): string {
  const { name, type, help, labels } = definition;
  const samples = samplesOf(collected);
  const lines = samples.flatMap(([values, value]) => {
    const pairs = labels.map((label, index) => `${label}="${escaped(values[index] ?? '')}"`);
    return typeof value === 'number' ? [sample(name, pairs, value)] : histogramLines(name, pairs, value);
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ''].join('\n');
}

/** The samples of a metric, each with its labels. */
export function samplesOf(
  collected: Samples,
): readonly (readonly [labels: readonly string[], value: Value])[] {
  if (collected === null) return [];
  return isValue(collected) ? [[[], collected]] : collected;
}

function isValue(collected: NonNullable<Samples>): collected is Value {
  return typeof collected === 'number' || collected instanceof DurationHistogram;
}

function histogramLines(name: string, pairs: readonly string[], histogram: DurationHistogram): string[] {
  const counts = histogram.cumulative();
  const total = counts.at(-1) ?? 0;
  const bounds = [...histogram.bounds.map(String), '+Inf'];
  return [
    ...bounds.map((bound, index) =>
      sample(`${name}_bucket`, [...pairs, `le="${bound}"`], counts[index] ?? total),
    ),
    sample(`${name}_sum`, pairs, histogram.sumSeconds),
    sample(`${name}_count`, pairs, total),
  ];
}

export function sample(name: string, pairs: readonly string[], value: number): string {
  const text = value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${text}`;
}

export function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}
