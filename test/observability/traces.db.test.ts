import { type AddressInfo, createServer, type Socket } from 'node:net';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { sendRequest } from '../support/browser-request.ts';
import { attributesOf, Collector, type Span } from '../support/collector.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

const AUTH = 'postern.v1.AuthService';
const email = 'ada@example.com';
const password = 'correct horse battery';
const incoming = { trace: '4bf92f3577b34da6a3ce929d0e0e4736', span: '00f067aa0ba902b7' };
const unsampled = { trace: '5bf92f3577b34da6a3ce929d0e0e4736', span: '10f067aa0ba902b7' };
const overHttp = { trace: '6bf92f3577b34da6a3ce929d0e0e4736', span: '20f067aa0ba902b7' };
const overOAuth = { trace: '7bf92f3577b34da6a3ce929d0e0e4736', span: '30f067aa0ba902b7' };
const header = ({ trace, span }: typeof incoming, flags: string) => ({
  traceparent: `00-${trace}-${span}-${flags}`,
});

describe('with a collector', () => {
  const collector = new Collector();
  const secrets: string[] = [password, email, 'of-the-caller'];
  let spans: Span[];
  let logLines: readonly string[];
  let openMetrics: Response;
  let metricsText: string;

  beforeAll(async () => {
    const service: TestService = await startTestService({
      OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start(),
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=a%2Cb,service.name=other',
      OTEL_SERVICE_NAME: 'login',
      OTEL_METRICS_EXPORTER: 'otlp',
      POSTERN_HTTP_RPC: 'auth',
      POSTERN_OAUTH: 'on',
    });
    await service.addUser(email, password);
    const { response } = await service.call(
      `${AUTH}/Login`,
      { email, password },
      {
        ...header(incoming, '01'),
        'x-request-id': 'request-1',
        tracestate: 'vendor=of-the-caller',
        baggage: 'user=of-the-caller',
        'user-agent': 'of-the-caller',
      },
    );
    const { access_token: access, refresh_token: refresh } = response as Record<string, string>;
    secrets.push(String(access), String(refresh));
    await service.call(
      `${AUTH}/VerifyToken`,
      { access_token: 'junk' },
      { ...header(unsampled, '00'), 'x-request-id': 'request-3' },
    );
    await service.call(`${AUTH}/VerifyToken`, { access_token: access });
    await service.call(`${AUTH}/VerifyToken`, { access_token: 'junk' }, { traceparent: 'junk' });
    await service.call(`${AUTH}/RefreshToken`, { refresh_token: refresh });
    const post = (path: string, body: string, headers: Record<string, string>) =>
      sendRequest(service.httpUrl + path, { method: 'POST', body, headers });
    const json = { 'content-type': 'application/json' };
    await post(`/${AUTH}/Login`, JSON.stringify({ email, password }), {
      ...json,
      ...header(overHttp, '01'),
      'x-request-id': 'request-2',
    });
    await post(`/${AUTH}/Unknown`, '{}', { ...json, ...header(overHttp, '01') });
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'prt_junk' });
    await post('/oauth/token', String(form), {
      'content-type': 'application/x-www-form-urlencoded',
      ...header(overOAuth, '01'),
    });
    const sessions = await Promise.all(
      Array.from({ length: 6 }, () => service.call(`${AUTH}/Login`, { email, password })),
    );
    // More than go in single statements, so that some share one.
    await Promise.all(
      sessions.map((session) =>
        service.call(`${AUTH}/RefreshToken`, { refresh_token: session.response?.['refresh_token'] }),
      ),
    );
    openMetrics = await fetch(`${service.httpUrl}/metrics`, {
      headers: { accept: 'application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3' },
    });
    metricsText = await openMetrics.text();
    await service.stop();
    logLines = service.logLines;
    spans = collector.spans;
  });
  afterAll(() => collector.stop());

  const connection = {
    'server.address': '127.0.0.1',
    'server.port': expect.any(Number),
    'network.peer.address': '127.0.0.1',
    'network.peer.port': expect.any(Number),
    'network.transport': 'tcp',
    'network.protocol.name': 'http',
  };

  test("R35 a call's span continues the caller's trace and has the status of the call", () => {
    const root = spans.find(({ name }) => name === `${AUTH}/Login`);
    expect(root).toMatchObject({ traceId: incoming.trace, parentSpanId: incoming.span, kind: 2 });
    expect(attributesOf(root)).toEqual({
      'rpc.system.name': 'grpc',
      'rpc.method': `${AUTH}/Login`,
      'rpc.response.status_code': 'OK',
      'postern.request_id': 'request-1',
      ...connection,
      'network.protocol.version': '2',
    });
    expect([...collector.paths].sort()).toEqual(['/v1/metrics', '/v1/traces']);
  });

  test('R36 the resource is what the variables say, with the version and an id of the process', () => {
    for (const resource of collector.resources) {
      expect(attributesOf(resource)).toMatchObject({
        'service.name': 'login',
        'deployment.environment.name': 'a,b',
        'service.version': expect.stringMatching(/^\d/),
        'service.instance.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      });
    }
  });

  test('R39 the line of a sampled call has the ids of its span, that of another has none', () => {
    const lines = logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const root = spans.find(({ name }) => name === `${AUTH}/Login`);
    expect(lines.find(({ request_id: id }) => id === 'request-1')).toMatchObject({
      trace_id: incoming.trace,
      span_id: root?.spanId,
    });
    expect(lines.find(({ request_id: id }) => id === 'request-2')).toMatchObject({
      trace_id: overHttp.trace,
    });
    const unsampledLine = lines.find(({ request_id: id }) => id === 'request-3');
    expect(unsampledLine).toMatchObject({ event: 'call' });
    expect(unsampledLine).not.toHaveProperty('trace_id');
  });

  test('R40 a scraper of OpenMetrics gets a sampled trace for the buckets of durations', () => {
    expect(openMetrics.headers.get('content-type')).toMatch(
      /^application\/openmetrics-text; version=1\.0\.0/,
    );
    expect(metricsText).toMatch(/\n# EOF\n$/);
    const exemplars = [...metricsText.matchAll(/_bucket\{method="([^"]+)".* # \{trace_id="(\w{32})"/g)];
    const sampled = new Set(spans.map(({ traceId }) => traceId));
    expect(exemplars.length).toBeGreaterThan(1);
    expect(exemplars.every(([, , traceId = '']) => sampled.has(traceId))).toBe(true);
    expect(metricsText).not.toContain(unsampled.trace);
  });

  test('R41 metrics are sent under the names of /metrics, with the duration that the conventions name', () => {
    const names = collector.metrics.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining([
        'postern_logins_total',
        'postern_trust_age_seconds',
        'postern_rpc_duration_seconds',
      ]),
    );
    const durations = collector.metrics.find(({ name }) => name === 'rpc.server.call.duration');
    const points = durations?.histogram?.dataPoints ?? [];
    const logins = points.find((point) => attributesOf(point)['rpc.method'] === `${AUTH}/Login`);
    expect(attributesOf(logins)).toEqual({ 'rpc.system.name': 'grpc', 'rpc.method': `${AUTH}/Login` });
    expect(Number(logins?.count)).toBe(8);
    expect(logins?.bucketCounts.map(Number).reduce((sum, count) => sum + count, 0)).toBe(8);
  });

  test('database queries and the hash are child spans of it', () => {
    const root = spans.find(({ name }) => name === `${AUTH}/Login`);
    const below = spans.filter(({ parentSpanId }) => parentSpanId === root?.spanId);
    expect(below.map(({ name }) => name)).toEqual(expect.arrayContaining(['database', 'password hash']));
    expect(below.every(({ traceId }) => traceId === incoming.trace)).toBe(true);
    const databaseSpans = below.filter(({ name }) => name === 'database').map(attributesOf);
    for (const attributes of databaseSpans)
      expect(attributes).toMatchObject({
        'db.system.name': 'postgresql',
        'db.namespace': expect.any(String),
      });
    // The background refresh, twice a second, is in no trace.
    expect(spans.filter(({ name, parentSpanId }) => name === 'database' && !parentSpanId)).toEqual([]);
  });

  test('a refresh has one database span, although its statement serves other calls too', () => {
    // Without the one over OAuth, whose token is refused before the database is asked.
    const refreshes = spans.filter(
      ({ name, traceId }) => name === `${AUTH}/RefreshToken` && traceId !== overOAuth.trace,
    );
    const below = refreshes.map(({ spanId }) => spans.filter(({ parentSpanId }) => parentSpanId === spanId));
    expect(below.map((children) => children.map(({ name }) => name))).toEqual(
      Array.from({ length: 7 }, () => ['database']),
    );
    const ids = new Set(below.flat().map(({ spanId }) => spanId));
    expect(spans.filter(({ parentSpanId }) => parentSpanId && ids.has(parentSpanId))).toEqual([]);
  });

  test('a trace that the caller does not sample is not sampled', () => {
    expect(spans.filter(({ traceId }) => traceId === unsampled.trace)).toEqual([]);
  });

  test('a malformed traceparent starts a new trace, and a refusal is not a server error', () => {
    const refused = spans.find(
      (span) => span.name === `${AUTH}/VerifyToken` && attributesOf(span)['postern.reason'] !== undefined,
    );
    expect(refused?.parentSpanId).toBeFalsy();
    expect(attributesOf(refused)).toMatchObject({
      'postern.reason': 'TOKEN_MALFORMED',
      'rpc.response.status_code': 'UNAUTHENTICATED',
    });
    expect(refused?.status.code ?? 0).toBe(0);
  });

  test('H01 a call over HTTP has the same span, with the same spans below it', () => {
    const ofTrace = spans.filter(({ traceId }) => traceId === overHttp.trace);
    const [root, unknown] = ofTrace.filter(({ parentSpanId }) => parentSpanId === overHttp.span);
    expect(root).toMatchObject({ name: `${AUTH}/Login`, kind: 2 });
    expect(attributesOf(root)).toEqual({
      'rpc.system.name': 'connectrpc',
      'rpc.method': `${AUTH}/Login`,
      'rpc.response.status_code': 'ok',
      'postern.request_id': 'request-2',
      ...connection,
      'network.protocol.version': '1.1',
    });
    const below = ofTrace.filter(({ parentSpanId }) => parentSpanId === root?.spanId);
    expect(below.map(({ name }) => name)).toEqual(expect.arrayContaining(['database', 'password hash']));
    expect(unknown).toMatchObject({ name: 'connectrpc', status: { code: 2 } });
    expect(attributesOf(unknown)).toMatchObject({ 'rpc.method': '_OTHER', 'error.type': 'unimplemented' });
  });

  test('R35 a call over OAuth has a span of HTTP, with the method that it became', () => {
    const root = spans.find(({ parentSpanId }) => parentSpanId === overOAuth.span);
    expect(root?.name).toBe('POST /oauth/token');
    expect(attributesOf(root)).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/oauth/token',
      'http.response.status_code': 400,
      'url.scheme': 'http',
      'postern.method': `${AUTH}/RefreshToken`,
      'postern.reason': 'REFRESH_TOKEN_INVALID',
    });
  });

  test('O01 no secret, token or e-mail is in a trace', () => {
    const sent = [...collector.bodies, metricsText].join('\n');
    for (const secret of secrets) expect(sent).not.toContain(secret);
  });
});

describe('in a process that cannot load OpenTelemetry', () => {
  let database: TestDatabase;
  const hook = new URL('../support/without-opentelemetry.mjs', import.meta.url).href;
  const environment = { NODE_OPTIONS: `--import=${hook}` };
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(async () => {
    await endEveryPostern();
    await database.drop();
  });

  test('without a collector the service runs and does not load OpenTelemetry', async () => {
    const service = await startServiceProcess(database.url, environment);
    await untilReady(service);
    expect(await service.probe('/metrics')).toBe(200);
    await service.stop();
  });

  test('with a collector it reports the missing packages', async () => {
    const { end } = startPostern(['serve'], {
      environment: {
        ...environment,
        DATABASE_URL: database.url,
        POSTERN_MASTER_KEY: masterKey,
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      },
    });
    const { exitCode, stderr } = await end;
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/^postern: OTEL_EXPORTER_OTLP_ENDPOINT or another variable asks/m);
  });
});

test('R38 a process whose collector never answers does not wait for it, neither in a call nor at its end', async () => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const database = await createTestDatabase();
  const service = await startServiceProcess(database.url, {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    OTEL_METRICS_EXPORTER: 'otlp',
    OTEL_BSP_SCHEDULE_DELAY: '10',
  });
  await untilReady(service);
  const verify = () => service.call(`${AUTH}/VerifyToken`, { access_token: 'junk' });
  await verify();
  while (sockets.size === 0) await verify();
  const callMs = await elapsedMs(verify);
  const stopMs = await elapsedMs(() => service.stop());
  // The time limit of an export is 10 seconds.
  expect(callMs).toBeLessThan(2_000);
  expect(stopMs).toBeLessThan(7_000);
  sockets.forEach((socket) => socket.destroy());
  server.close();
  await database.drop();
});

async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const beginMs = performance.now();
  await work();
  return performance.now() - beginMs;
}
