import { afterEach, expect, test } from '@jest/globals';

import { Rejected, type Rejection } from '../../src/domain/rejection.ts';
import type { AuthServiceService } from '../../src/generated/postern/v1/auth.ts';
import { sessionEndpoints } from '../../src/http/console/session-endpoint.ts';
import { anyHost } from '../../src/http/host-check.ts';
import { HttpCalls } from '../../src/http/http-calls.ts';
import { HttpServer } from '../../src/http/http-server.ts';
import { loadCodec } from '../../src/http/rpc/rpc-endpoints.ts';
import type { FinishedCall } from '../../src/rpc/call-context.ts';
import type { ServiceHandlers } from '../../src/rpc/handlers.ts';
import type { MethodGuard } from '../../src/rpc/method-guard.ts';
import { postAsPage } from '../support/browser-request.ts';

const cookie = '__Host-postern=prt_x';
const guard = {
  refusals: { take: () => null, missed: () => undefined },
  writeAudit: () => Promise.resolve(),
} as unknown as MethodGuard;

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanups.splice(0)) await cleanUp();
});

/** A listener whose refreshes and revocations end like this. */
async function listener(handle: () => Promise<unknown>) {
  const finished: FinishedCall[] = [];
  const handlers = { refreshToken: handle, revokeToken: handle } as unknown as ServiceHandlers<
    typeof AuthServiceService
  >;
  const endpoints = sessionEndpoints(handlers, guard, { origins: new Set(), hosts: anyHost, loadCodec });
  const calls = new HttpCalls({
    find: (path) => endpoints.get(path),
    corsOrigins: [],
    isTrustedProxy: () => false,
    onFinish: (call) => finished.push(call),
  });
  const content = {
    publication: null,
    unreadyReasons: () => [],
    verificationFaults: () => [],
    metrics: null,
  };
  const server = new HttpServer(content, null, { calls });
  cleanups.push(() => server.stop());
  const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(address as { port: number }).port}`;
  return { url, finished, calls, endpoints };
}

const retryAfterMs = 1_000;
test.each<[Rejection, number]>([
  [{ kind: 'store-unavailable', cause: 'away', retryAfterMs }, 503],
  [{ kind: 'trust-stale', retryAfterMs }, 503],
  [{ kind: 'server-overloaded', cause: 'full', retryAfterMs }, 503],
  [{ kind: 'refresh-rate-limited', retryAfterMs }, 429],
  [{ kind: 'deadline-exceeded' }, 504],
])('C06 a refusal that passes keeps the cookie: %j', async (rejection, status) => {
  const { url, finished } = await listener(() => Promise.reject(new Rejected(rejection)));
  for (const route of ['refresh', 'end']) {
    const reply = await postAsPage(`${url}/console/session/${route}`, {}, { cookie });
    expect([reply.status, reply.headers['set-cookie']]).toEqual([status, undefined]);
  }
  expect(finished.map(({ path }) => path)).toEqual([
    '/postern.v1.AuthService/RefreshToken',
    '/postern.v1.AuthService/RevokeToken',
  ]);
});

test('C09 a request without a cookie is known to change nothing, so that a flood of them does not fill the log', async () => {
  const { url, finished } = await listener(() => Promise.reject(new Error('not called')));
  for (const route of ['refresh', 'end'])
    expect((await postAsPage(`${url}/console/session/${route}`, {})).status).toBe(200);
  expect(finished.map(({ isNoOp }) => isNoOp)).toEqual([true, true]);
});

test('C11 a fault of Postern says no more than its request id, and the answer may not be framed', async () => {
  const { url } = await listener(() => Promise.reject(new Error('password of the database')));
  const reply = await postAsPage(`${url}/console/session/refresh`, {}, { cookie });
  expect(reply.status).toBe(500);
  expect(reply.text).not.toContain('password');
  expect(reply.headers['x-request-id']).toMatch(/^[\da-f-]{36}$/);
  expect(reply.headers['content-security-policy']).toContain("frame-ancestors 'none'");
});

test('C06 a service that stops refuses, and keeps the session', async () => {
  const { url, calls, finished } = await listener(() => Promise.reject(new Error('not called')));
  await calls.drain({ delayMs: 0, graceMs: 0 });
  const reply = await postAsPage(`${url}/console/session/refresh`, {}, { cookie });
  expect([reply.status, reply.reason]).toEqual([503, 'SHUTTING_DOWN']);
  expect([reply.headers['set-cookie'], reply.headers.connection]).toEqual([undefined, 'close']);
  expect(finished.map(({ path }) => path)).toEqual(['/postern.v1.AuthService/RefreshToken']);
});
