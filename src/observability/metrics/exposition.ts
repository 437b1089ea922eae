import { DurationHistogram } from '../../domain/histogram.ts';
import { type MetricDefinition, metricDefinitions, type MetricKey } from './definitions.ts';

type Value = number | DurationHistogram;

/** What a metric is now: one value, values with their labels in the order of the definition, or null for none. */
type Samples = Value | null | readonly (readonly [labels: readonly string[], value: Value])[];

/** How each metric is read. What a process does not have is left out. */
export type Collectors = { readonly [Key in MetricKey]?: () => Samples };

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * The text format of Prometheus, 0.0.4. Written here and not by prom-client, which would keep every value a second time
 * behind a hash of its labels, and loads OpenTelemetry; all that is left of it is this page.
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
  const samples = collected === null ? [] : isValue(collected) ? [[[], collected] as const] : collected;
  const lines = samples.flatMap(([values, value]) => {
    const pairs = labels.map((label, index) => `${label}="${escaped(values[index] ?? '')}"`);
    return typeof value === 'number' ? [sample(name, pairs, value)] : histogramLines(name, pairs, value);
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ''].join('\n');
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

function sample(name: string, pairs: readonly string[], value: number): string {
  const text = value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${text}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}
