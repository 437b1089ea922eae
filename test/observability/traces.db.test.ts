import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { endEveryPostern, startPostern } from '../support/run-postern.ts';
import { startServiceProcess, untilReady } from '../support/service-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[];
  readonly status: { readonly code?: number };
}

/** A minimal collector for OTLP over HTTP. */
class Collector {
  readonly bodies: string[] = [];
  readonly paths = new Set<string | undefined>();
  readonly #server: Server = createServer((request, response) => {
    this.paths.add(request.url);
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => (body += part));
    request.on('end', () => {
      this.bodies.push(body);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get spans(): Span[] {
    return this.bodies.flatMap((body) => {
      const { resourceSpans } = JSON.parse(body) as {
        resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
      };
      return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
    });
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

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
  const secrets: string[] = [password, email];
  let spans: Span[];

  beforeAll(async () => {
    const service: TestService = await startTestService({
      OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start(),
      POSTERN_HTTP_RPC: 'auth',
      POSTERN_OAUTH: 'on',
    });
    await service.addUser(email, password);
    const { response } = await service.call(
      `${AUTH}/Login`,
      { email, password },
      { ...header(incoming, '01'), 'x-request-id': 'request-1' },
    );
    const { access_token: access, refresh_token: refresh } = response as Record<string, string>;
    secrets.push(String(access), String(refresh));
    await service.call(`${AUTH}/VerifyToken`, { access_token: access }, header(unsampled, '00'));
    await service.call(`${AUTH}/VerifyToken`, { access_token: 'junk' }, { traceparent: 'junk' });
    await service.call(`${AUTH}/RefreshToken`, { refresh_token: refresh });
    const post = (path: string, body: string | URLSearchParams, headers: Record<string, string>) =>
      fetch(service.httpUrl + path, { method: 'POST', body, headers });
    const json = { 'content-type': 'application/json' };
    await post(`/${AUTH}/Login`, JSON.stringify({ email, password }), {
      ...json,
      ...header(overHttp, '01'),
      'x-request-id': 'request-2',
    });
    await post(`/${AUTH}/Unknown`, '{}', { ...json, ...header(overHttp, '01') });
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'prt_junk' });
    await post('/oauth/token', form, header(overOAuth, '01'));
    const sessions = await Promise.all(
      Array.from({ length: 6 }, () => service.call(`${AUTH}/Login`, { email, password })),
    );
    // More than go in single statements, so that some share one.
    await Promise.all(
      sessions.map((session) =>
        service.call(`${AUTH}/RefreshToken`, { refresh_token: session.response?.['refresh_token'] }),
      ),
    );
    await service.stop();
    spans = collector.spans;
  });
  afterAll(() => collector.stop());

  const attributesOf = (span: Span | undefined) =>
    Object.fromEntries((span?.attributes ?? []).map(({ key, value }) => [key, Object.values(value)[0]]));

  test("a call's span continues the caller's trace and has the status of the call", () => {
    const root = spans.find(({ name }) => name === `${AUTH}/Login`);
    expect(root).toMatchObject({ traceId: incoming.trace, parentSpanId: incoming.span, kind: 2 });
    expect(attributesOf(root)).toEqual({
      'rpc.system': 'grpc',
      'rpc.service': AUTH,
      'rpc.method': 'Login',
      'rpc.grpc.status_code': 0,
      'postern.request_id': 'request-1',
    });
    expect([...collector.paths]).toEqual(['/v1/traces']);
    expect(collector.bodies.join('')).toContain('"stringValue":"postern"');
  });

  test('database queries and the hash are child spans of it', () => {
    const root = spans.find(({ name }) => name === `${AUTH}/Login`);
    const below = spans.filter(({ parentSpanId }) => parentSpanId === root?.spanId);
    expect(below.map(({ name }) => name)).toEqual(expect.arrayContaining(['database', 'password hash']));
    expect(below.every(({ traceId }) => traceId === incoming.trace)).toBe(true);
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
    const refused = spans.find(({ name }) => name === `${AUTH}/VerifyToken`);
    expect(refused?.parentSpanId).toBeFalsy();
    expect(attributesOf(refused)).toMatchObject({
      'postern.reason': 'TOKEN_MALFORMED',
      'rpc.grpc.status_code': 16,
    });
    expect(refused?.status.code ?? 0).toBe(0);
  });

  test('H01 a call over HTTP has the same span, with the same spans below it', () => {
    const ofTrace = spans.filter(({ traceId }) => traceId === overHttp.trace);
    const [root, unknown] = ofTrace.filter(({ parentSpanId }) => parentSpanId === overHttp.span);
    expect(root).toMatchObject({ name: `${AUTH}/Login`, kind: 2 });
    expect(attributesOf(root)).toEqual({
      'rpc.system': 'grpc',
      'rpc.service': AUTH,
      'rpc.method': 'Login',
      'rpc.grpc.status_code': 0,
      'postern.request_id': 'request-2',
    });
    const below = ofTrace.filter(({ parentSpanId }) => parentSpanId === root?.spanId);
    expect(below.map(({ name }) => name)).toEqual(expect.arrayContaining(['database', 'password hash']));
    expect(unknown).toMatchObject({ name: 'unknown', status: { code: 2 } });
  });

  test('a call over OAuth has the span of the method that it became', () => {
    const root = spans.find(({ parentSpanId }) => parentSpanId === overOAuth.span);
    expect(root?.name).toBe(`${AUTH}/RefreshToken`);
    expect(attributesOf(root)).toMatchObject({
      'rpc.method': 'RefreshToken',
      'rpc.grpc.status_code': 16,
      'postern.reason': 'REFRESH_TOKEN_INVALID',
    });
  });

  test('O01 no secret, token or e-mail is in a trace', () => {
    const sent = collector.bodies.join('\n');
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
    expect(stderr).toMatch(/^postern: OTEL_EXPORTER_OTLP_ENDPOINT is set/m);
  });
});
