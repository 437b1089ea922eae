import { DurationHistogram, type Exemplar } from '../../domain/histogram.ts';
import { type MetricDefinition, metricDefinitions, type MetricKey } from './definitions.ts';
import { type Collectors, escaped, sample, type Samples, samplesOf } from './exposition.ts';

export const OPEN_METRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** Renders the metrics in the text format of OpenMetrics 1.0, which has exemplars: a trace for each bucket of a histogram. */
export function exposeOpenMetrics(collectors: Collectors): string {
  const families = (Object.keys(metricDefinitions) as MetricKey[]).flatMap((key) => {
    const collect = collectors[key];
    return collect ? [family(metricDefinitions[key], collect())] : [];
  });
  return `${families.join('')}# EOF\n`;
}

/** Whether a scraper prefers OpenMetrics (RFC 9110 section 12.5.1). Without the header, or in doubt, it gets the older format. */
export function prefersOpenMetrics(accept: string | undefined): boolean {
  const openMetrics = qualityOf(accept ?? '', 'application/openmetrics-text') ?? 0;
  const text = ['text/plain', 'text/*', '*/*'].map((type) => qualityOf(accept ?? '', type));
  return openMetrics > 0 && openMetrics >= (text.find((quality) => quality !== undefined) ?? 0);
}

function qualityOf(accept: string, type: string): number | undefined {
  const qualities = accept.split(',').flatMap((part) => {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    if (name !== type) return [];
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    return [quality === undefined ? 1 : Number(quality.slice(2)) || 0];
  });
  return qualities.length === 0 ? undefined : Math.max(...qualities);
}

/** A family is named without `_total`, and with its unit where the name ends with it. */
function family({ name: full, type, help, labels }: MetricDefinition, collected: Samples): string {
  const name = type === 'counter' ? full.replace(/_total$/, '') : full;
  const unit = /_(seconds|bytes)$/.exec(name)?.[1];
  const lines = samplesOf(collected).flatMap(([values, value]) => {
    const pairs = labels.map((label, index) => `${label}="${escaped(values[index] ?? '')}"`);
    return value instanceof DurationHistogram
      ? histogramLines(name, pairs, value)
      : [sample(full, pairs, value)];
  });
  const head = [`# TYPE ${name} ${type}`, ...(unit === undefined ? [] : [`# UNIT ${name} ${unit}`])];
  return [...head, `# HELP ${name} ${escaped(help)}`, ...lines, ''].join('\n');
}

function histogramLines(name: string, pairs: readonly string[], histogram: DurationHistogram): string[] {
  const counts = histogram.cumulative();
  const total = counts.at(-1) ?? 0;
  // A bound is written as a floating-point number, as the specification recommends: 1.0.
  const bounds = [
    ...histogram.bounds.map((bound) => (Number.isInteger(bound) ? `${bound}.0` : `${bound}`)),
    '+Inf',
  ];
  return [
    ...bounds.map((bound, index) => {
      const line = sample(`${name}_bucket`, [...pairs, `le="${bound}"`], counts[index] ?? total);
      return `${line}${exemplarText(histogram.exemplar(index))}`;
    }),
    sample(`${name}_count`, pairs, total),
    sample(`${name}_sum`, pairs, histogram.sumSeconds),
  ];
}

function exemplarText(exemplar: Exemplar | undefined): string {
  if (!exemplar) return '';
  const { traceId, spanId, seconds, atMs } = exemplar;
  return ` # {trace_id="${traceId}",span_id="${spanId}"} ${seconds} ${atMs / 1000}`;
}
