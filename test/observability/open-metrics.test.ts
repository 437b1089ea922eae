import { expect, test } from '@jest/globals';

import { DurationHistogram } from '../../src/domain/histogram.ts';
import { expose } from '../../src/observability/metrics/exposition.ts';
import { exposeOpenMetrics, prefersOpenMetrics } from '../../src/observability/metrics/open-metrics.ts';

const durations = new DurationHistogram();
durations.observe(3, { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) });
durations.observe(700);
const collectors = {
  calls: () => [[['m', 'OK'], 2] as const],
  callDuration: () => [[['m'], durations] as const],
  hashRunning: () => 1,
};

test('R40 counters lose _total in their family, bounds are floating-point numbers, and a bucket has its exemplar', () => {
  const lines = exposeOpenMetrics(collectors).split('\n');
  expect(lines.slice(0, 3)).toEqual([
    '# TYPE postern_rpc_calls counter',
    '# HELP postern_rpc_calls Finished calls, by method and gRPC status code.',
    'postern_rpc_calls_total{method="m",code="OK"} 2',
  ]);
  expect(lines).toContain('# UNIT postern_rpc_duration_seconds seconds');
  expect(lines).toContain('postern_rpc_duration_seconds_bucket{method="m",le="1.0"} 2');
  const exemplars = lines.filter((line) => line.includes(' # '));
  expect(exemplars).toEqual([
    expect.stringMatching(/le="0\.005"\} 1 # \{trace_id="a{32}",span_id="b{16}"\} 0\.003 \d+\.?\d*$/),
  ]);
  expect(lines.slice(-2)).toEqual(['# EOF', '']);
});

test('R40 the ordinary format is as it was', () => {
  expect(expose(collectors)).not.toMatch(/trace_id|EOF|UNIT/);
  expect(expose(collectors)).toContain('_bucket{method="m",le="1"} 2\n');
});

test.each([
  [undefined, false],
  ['*/*', false],
  ['text/plain', false],
  ['application/openmetrics-text; version=1.0.0', true],
  [
    'application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;q=0.4,text/plain;q=0.3',
    true,
  ],
  ['application/openmetrics-text;q=0.2, text/plain', false],
  ['application/openmetrics-text;q=0.1, */*', false],
  ['application/openmetrics-text;q=0.5, text/*;q=0.2, */*', true],
  ['application/openmetrics-text;q=0', false],
  ['application/openmetrics-text;q=x', false],
])('R40 Accept: %s', (accept, preferred) => {
  expect(prefersOpenMetrics(accept)).toBe(preferred);
});
