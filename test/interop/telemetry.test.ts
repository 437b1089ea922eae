import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { metricDefinitions } from '../../src/observability/metrics/definitions.ts';
import { startTestService } from '../support/test-service.ts';
import { runTool } from './run-tool.ts';
import { describeWith } from './tool.ts';

const AUTH = 'postern.v1.AuthService';

async function read(kind: 'traces' | 'metrics' | 'openmetrics', input: string): Promise<unknown> {
  const { exitCode, stdout, stderr } = await runTool('telemetry-reader', [kind], input);
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

describeWith('telemetry-reader', "telemetry, read with OpenTelemetry's protos and Prometheus' parser", () => {
  const bodies = new Map<string, Buffer[]>();
  let openMetrics: string;
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const path = request.url ?? '';
      bodies.set(path, [...(bodies.get(path) ?? []), Buffer.concat(chunks)]);
      response.writeHead(200).end();
    });
  });

  beforeAll(async () => {
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    const service = await startTestService({
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
      OTEL_METRICS_EXPORTER: 'otlp',
    });
    await service.call(`${AUTH}/VerifyToken`, { access_token: 'junk' });
    const response = await fetch(`${service.httpUrl}/metrics`, {
      headers: { accept: 'application/openmetrics-text' },
    });
    openMetrics = await response.text();
    await service.stop();
  });
  afterAll(() => {
    collector.closeAllConnections();
    collector.close();
  });

  const bodyOf = (path: string) => (bodies.get(path)?.at(-1) ?? Buffer.alloc(0)).toString('base64');

  test('R36 the spans', async () => {
    const text = JSON.stringify(await read('traces', bodyOf('/v1/traces')));
    expect(text).toContain(`"name": "${AUTH}/VerifyToken"`.replace(': ', ':'));
    expect(text).toContain('"stringValue":"UNAUTHENTICATED"');
    expect(text).toContain('"kind":"SPAN_KIND_SERVER"');
  });

  test('R41 the metrics', async () => {
    const text = JSON.stringify(await read('metrics', bodyOf('/v1/metrics')));
    expect(text).toContain('"name":"rpc.server.call.duration"');
    expect(text).toContain('"name":"postern_logins_total"');
    expect(text).toContain('AGGREGATION_TEMPORALITY_CUMULATIVE');
    expect(text).toContain('"isMonotonic":true');
  });

  test('R40 OpenMetrics, with the exemplars and every family', async () => {
    const { families, exemplars } = (await read('openmetrics', openMetrics)) as {
      families: Record<string, [type: string, unit: string]>;
      exemplars: Record<string, string>[];
    };
    expect(exemplars).toEqual([{ trace_id: expect.any(String), span_id: expect.any(String) }]);
    expect(families['postern_rpc_duration_seconds']).toEqual(['histogram', 'seconds']);
    expect(families['process_resident_memory_bytes']).toEqual(['gauge', 'bytes']);
    const names = Object.values(metricDefinitions)
      .filter(({ name }) => name !== 'postern_upstream_connected')
      .map(({ name, type }) => (type === 'counter' ? name.replace(/_total$/, '') : name));
    expect(Object.keys(families).sort()).toEqual(names.sort());
  });

  test('what is no OpenMetrics is refused by the parser', async () => {
    await expect(read('openmetrics', openMetrics.replace('# EOF\n', ''))).rejects.toThrow(/EOF/);
  });
});
