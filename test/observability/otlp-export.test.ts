import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttps } from 'node:https';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { afterEach, expect, test } from '@jest/globals';
import * as grpc from '@grpc/grpc-js';

import { readTelemetry } from '../../src/config/telemetry/telemetry-settings.ts';
import { otlpGrpcTransport } from '../../src/grpc/otlp-transport.ts';
import { ExportFailures, reasonOf } from '../../src/observability/otlp/export-failures.ts';
import { startTelemetry } from '../../src/observability/otlp/start-telemetry.ts';
import type { TracedCall } from '../../src/observability/tracing/tracing.ts';
import { createAuthority, type Issued } from '../support/certificates.ts';
import { Collector } from '../support/collector.ts';
import { until } from '../support/wait-for.ts';

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
  const { telemetry: settings, faults } = readTelemetry(variables, 'serve', (path) =>
    readFileSync(path, 'utf8'),
  );
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

// The first, since its export goes on for 6 s, for which Jest would wait.
test('R38 neither the end of the process nor a probe waits for the time limit of an export', async () => {
  const { telemetry, trace } = start({
    OTEL_EXPORTER_OTLP_ENDPOINT: await blackHole(),
    OTEL_EXPORTER_OTLP_TIMEOUT: '6000',
  });
  trace(1);
  const beginMs = performance.now();
  const [failure] = await Promise.all([telemetry.probe('traces'), telemetry.stop()]);
  expect(failure).toBeInstanceOf(Error);
  expect(performance.now() - beginMs).toBeLessThan(5_000);
});

test.each([
  ['a port without a listener', () => Promise.resolve('http://127.0.0.1:1'), '2000', /ECONNREFUSED$/],
  ['one that refuses the credential', () => collectorThatAnswers(401), '2000', /HTTP 401$/],
  [
    'one that is overloaded',
    () => collectorThatAnswers(503),
    '300',
    /HTTP 429, 502, 503 or 504 until the time limit$/,
  ],
  ['one that never answers', blackHole, '300', /timed out$/],
])('R38 %s: counted, told in one line, and the process ends in time', async (_, startIt, limitMs, reason) => {
  const { telemetry, failures, warnings, trace } = start({
    OTEL_EXPORTER_OTLP_ENDPOINT: await startIt(),
    OTEL_EXPORTER_OTLP_TIMEOUT: limitMs,
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

interface GrpcExport {
  readonly body: Buffer;
  readonly headers: grpc.MetadataValue[];
}

/** A collector over gRPC, and what it received. */
async function grpcCollector(credentials = grpc.ServerCredentials.createInsecure()) {
  const received: GrpcExport[] = [];
  const server = new grpc.Server();
  const asIs = (bytes: Buffer) => bytes;
  const path = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
  const method = {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService(
    { export: method },
    {
      export: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
        received.push({ body: call.request, headers: call.metadata.get('api-key') });
        done(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  closers.push(() => server.forceShutdown());
  return { port, received };
}

test('R36 over gRPC the collector gets the spans, with the headers and compressed', async () => {
  const { port, received } = await grpcCollector();
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

/** Collectors that ask for a client certificate. */
const tlsCollectors = {
  'http/protobuf': async ({ cert, key }: Issued, ca: string) => {
    let received = 0;
    const server = createHttps(
      { cert, key, ca, requestCert: true, rejectUnauthorized: true },
      (request, response) => {
        received += 1;
        request.resume().on('end', () => response.writeHead(200).end());
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return { port: (server.address() as AddressInfo).port, count: () => received };
  },
  grpc: async ({ cert, key }: Issued, ca: string) => {
    const pair = { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) };
    const { port, received } = await grpcCollector(
      grpc.ServerCredentials.createSsl(Buffer.from(ca), [pair], true),
    );
    return { port, count: () => received.length };
  },
};

test.each(['http/protobuf', 'grpc'] as const)(
  'R36 R38 over %s and TLS with a client certificate; a certificate that is not trusted gets nothing, and is told',
  async (protocol) => {
    const authority = createAuthority('collectors');
    const { port, count } = await tlsCollectors[protocol](
      authority.issue({ dns: ['localhost'] }),
      authority.cert,
    );
    const client = authority.issue({ dns: ['postern'] });
    const folder = mkdtempSync(join(tmpdir(), 'postern-otlp-'));
    closers.push(() => rmSync(folder, { recursive: true }));
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const common = {
      OTEL_EXPORTER_OTLP_ENDPOINT: `https://localhost:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: file('client.pem', client.cert),
      OTEL_EXPORTER_OTLP_CLIENT_KEY: file('client.key', client.key),
      OTEL_EXPORTER_OTLP_TIMEOUT: '1500',
    };
    const exportWith = async (ca: string) => {
      const { telemetry, failures, warnings, trace } = start({
        ...common,
        OTEL_EXPORTER_OTLP_CERTIFICATE: file('ca.pem', ca),
      });
      trace(1);
      await telemetry.stop();
      return { failed: failures.counts[0]?.[1], warnings };
    };
    expect(await exportWith(authority.cert)).toEqual({ failed: 0, warnings: [] });
    expect(count()).toBe(1);
    const { failed, warnings } = await exportWith(createAuthority('others').cert);
    expect(failed).toBe(1);
    expect(warnings[0]).toMatch(/SELF_SIGNED_CERT_IN_CHAIN$|UNAVAILABLE \(.*certificate.*\)$/);
    expect(count()).toBe(1);
  },
);

test('R38 a collector that comes back gets the next spans', async () => {
  let status = 401;
  const collector = new Collector((response) => response.writeHead(status).end('{}'));
  closers.push(() => collector.stop());
  const { telemetry, failures, trace } = start({
    OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start(),
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '10',
  });
  trace(1);
  await until(() => failures.counts[0]?.[1] === 1, 'a failed export');
  status = 200;
  trace(1);
  await telemetry.stop();
  expect(failures.counts[0]?.[1]).toBe(1);
  expect(collector.bodies).toHaveLength(2);
});

test('R35 a call that is not sampled has no spans, not even in the trace of the call before it on its connection', async () => {
  const collector = new Collector();
  closers.push(() => collector.stop());
  const { telemetry } = start({
    OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start(),
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  });
  const { tracing } = telemetry;
  const unsampled = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`;
  const one = tracing?.startCall(LOGIN, () => []);
  const other = tracing?.startCall(LOGIN, (name) => (name === 'traceparent' ? [unsampled] : []));
  const query = () => tracing?.span('database', () => Promise.resolve());
  await one?.run(() => other?.run(query));
  await other?.run(query);
  for (const call of [one, other])
    call?.end({ code: 0 }, { path: LOGIN.path, requestId: 'r', reason: undefined });
  await telemetry.stop();
  expect(one?.sampled).toBeDefined();
  expect(other?.sampled).toBeUndefined();
  expect(collector.spans.map(({ name }) => name)).toEqual(['postern.v1.AuthService/Login']);
});
