import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

import { afterEach, expect, test } from '@jest/globals';
import * as grpc from '@grpc/grpc-js';

import { readTelemetry } from '../../src/config/telemetry-settings.ts';
import { otlpGrpcTransport } from '../../src/grpc/otlp-transport.ts';
import { ExportFailures, reasonOf } from '../../src/observability/otlp/export-failures.ts';
import { startTelemetry } from '../../src/observability/otlp/start-telemetry.ts';
import type { TracedCall } from '../../src/observability/tracing/tracing.ts';
import { Collector } from '../support/collector.ts';

const closers: (() => void)[] = [];
afterEach(() => closers.splice(0).forEach((close) => close()));

const LOGIN: TracedCall = {
  path: '/postern.v1.AuthService/Login',
  system: 'grpc',
  peer: '192.0.2.1:4711',
  protocolVersion: '2',
};

/** Telemetry of these variables, and what it reports. */
function start(variables: Record<string, string>) {
  const { telemetry: settings, faults } = readTelemetry(variables, 'serve', () => true);
  if (settings === null || faults.length > 0) throw new Error(faults.join());
  const warnings: string[] = [];
  const failures = new ExportFailures(settings, (detail) => warnings.push(detail));
  const identity = { version: '1', instanceId: 'id' };
  const parts = { grpcTransport: otlpGrpcTransport, onFailure: failures.record };
  const telemetry = startTelemetry(settings, identity, parts);
  const trace = (calls: number) => {
    for (let index = 0; index < calls; index += 1)
      telemetry.tracing
        ?.startCall(LOGIN, () => [])
        .end({ code: 0 }, { path: LOGIN.path, requestId: 'r', reason: undefined });
  };
  return { telemetry, failures, warnings, trace };
}

async function collectorThatAnswers(httpStatus: number): Promise<string> {
  const collector = new Collector((response) => response.writeHead(httpStatus).end('{}'));
  closers.push(() => collector.stop());
  return collector.start();
}

/** A server that accepts connections and never answers. */
async function blackHole(): Promise<string> {
  const sockets = new Set<{ destroy(): void }>();
  const server: Server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each([
  ['a port without a listener', () => Promise.resolve('http://127.0.0.1:1'), /ECONNREFUSED$/],
  ['one that refuses the credential', () => collectorThatAnswers(401), /HTTP 401$/],
  ['one that is overloaded', () => collectorThatAnswers(503), /retryable status$/],
  ['one that never answers', blackHole, /timed out$/],
])('R38 %s: counted, told in one line, and the process ends in time', async (_what, startIt, reason) => {
  const { telemetry, failures, warnings, trace } = start({
    OTEL_EXPORTER_OTLP_ENDPOINT: await startIt(),
    OTEL_EXPORTER_OTLP_TIMEOUT: '300',
  });
  // More than are kept for the collector.
  trace(5_000);
  const beginMs = performance.now();
  await telemetry.stop();
  expect(performance.now() - beginMs).toBeLessThan(4_000);
  expect(failures.counts).toEqual([[['traces'], expect.any(Number)]]);
  expect(failures.counts[0]?.[1]).toBeGreaterThanOrEqual(1);
  // 2,048 spans wait at most, in batches of 512, and one batch was on its way.
  expect(failures.counts[0]?.[1]).toBeLessThanOrEqual(6);
  expect(new Set(warnings).size).toBe(1);
  expect(warnings[0]).toMatch(/^traces cannot be sent to http:\/\/127\.0\.0\.1:\d+\/v1\/traces: /);
  expect(warnings[0]).toMatch(reason);
});

test('R38 each failed export is counted, with a reason that does not change with the words of the collector', () => {
  const { failures, warnings } = start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' });
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  failures.record('traces', new AggregateError([refused, refused], 'both addresses'));
  failures.record('traces', new Error('not sent', { cause: refused }));
  expect(failures.counts).toEqual([[['traces'], 2]]);
  expect(new Set(warnings)).toEqual(
    new Set(['traces cannot be sent to http://127.0.0.1:4318/v1/traces: ECONNREFUSED']),
  );
  expect([reasonOf(undefined), reasonOf(new Error('late'))]).toEqual(['no answer', 'late']);
});

test('R38 the end of the process does not wait for the time limit of an export', async () => {
  const { telemetry, trace } = start({ OTEL_EXPORTER_OTLP_ENDPOINT: await blackHole() });
  trace(1);
  const beginMs = performance.now();
  await telemetry.stop();
  expect(performance.now() - beginMs).toBeLessThan(5_000);
});

test('R38 a probe says whether the collector takes a request', async () => {
  const probe = async (url: string) => {
    const { telemetry } = start({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_METRICS_EXPORTER: 'otlp' });
    const results = [await telemetry.probe('traces'), await telemetry.probe('metrics')];
    await telemetry.stop();
    return results;
  };
  expect(await probe(await collectorThatAnswers(200))).toEqual([undefined, undefined]);
  expect(await probe(await collectorThatAnswers(401))).toEqual([expect.any(Error), expect.any(Error)]);
});

test('R36 over gRPC the collector gets the spans, with the headers and compressed', async () => {
  const received: { body: Buffer; headers: grpc.MetadataValue[] }[] = [];
  const server = new grpc.Server();
  const asIs = (bytes: Buffer) => bytes;
  const path = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
  server.addService(
    {
      export: {
        path,
        requestStream: false,
        responseStream: false,
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    },
    {
      export: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
        received.push({ body: call.request, headers: call.metadata.get('api-key') });
        done(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  closers.push(() => server.forceShutdown());
  const { telemetry, failures, trace } = start({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=secret',
    OTEL_SERVICE_NAME: 'login',
  });
  trace(1);
  await telemetry.stop();
  expect(failures.counts).toEqual([[['traces'], 0]]);
  expect(received).toHaveLength(1);
  expect(received[0]?.headers).toEqual(['secret']);
  expect(received[0]?.body.includes('postern.v1.AuthService/Login')).toBe(true);
  expect(received[0]?.body.includes('login')).toBe(true);
});

test('R36 over HTTP the collector gets protobuf, compressed when asked', async () => {
  const { createServer: createHttp } = await import('node:http');
  const received: { type: string | undefined; encoding: string | undefined; body: Buffer }[] = [];
  const server = createHttp((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { 'content-type': type, 'content-encoding': encoding } = request.headers;
      received.push({ type, encoding, body: Buffer.concat(chunks) });
      response.writeHead(200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { telemetry, trace } = start({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
  });
  trace(1);
  await telemetry.stop();
  expect(received).toMatchObject([{ type: 'application/x-protobuf', encoding: 'gzip' }]);
  expect(gunzipSync(received[0]?.body ?? '').includes('postern.v1.AuthService/Login')).toBe(true);
});
