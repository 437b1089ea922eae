import { constants, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import {
  type AuthClient,
  createAuthClient,
  createUserSession,
  PosternError,
  serviceCredential,
} from '../../src/client/postern-client.ts';
import { until } from '../support/wait-for.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
let service: TestService;
let client: AuthClient;
beforeAll(async () => {
  service = await startTestService({ POSTERN_ACCESS_TOKEN_TTL: '1s' });
  await service.addUser(email, password);
  client = createAuthClient({ address: service.grpcAddress, deadlineMs: 60_000 });
});
afterAll(async () => {
  client.close();
  await service.stop();
});

const failureOf = (work: Promise<unknown>): Promise<PosternError> =>
  work.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as PosternError,
  );

test('every method answers, and refusals carry their reason, fields and request id', async () => {
  const tokens = await client.login({ email, password });
  expect((await client.verifyToken({ accessToken: tokens.accessToken })).subject).toBe(tokens.userId);
  expect((await client.getJwks()).maxAge).toBe(600);
  const next = await client.refreshToken(tokens.refreshToken);
  const changed = await client.changePassword({
    accessToken: next.accessToken,
    currentPassword: password,
    newPassword: 'another horse battery',
  });
  await client.changePassword({
    accessToken: changed.accessToken,
    currentPassword: 'another horse battery',
    newPassword: password,
  });
  await client.revokeToken({ token: next.refreshToken });
  const revoked = await failureOf(client.refreshToken(next.refreshToken));
  expect(revoked).toBeInstanceOf(PosternError);
  expect(revoked).toMatchObject({ code: status.UNAUTHENTICATED, reason: 'REFRESH_TOKEN_REVOKED' });
  const invalid = await failureOf(client.login({ email: 'no', password }, { requestId: 'mine.1' }));
  expect(invalid).toMatchObject({ reason: 'FIELD_INVALID', requestId: 'mine.1' });
  expect(invalid.violations[0]?.field).toBe('email');
  expect(await failureOf(client.resetPassword({ resetToken: 'x', newPassword: password }))).toMatchObject({
    reason: 'RESET_TOKEN_INVALID',
  });
});

const callsOf = (method: string) =>
  service.logLines.filter((line) => line.includes(`AuthService/${method}"`)).length;

test('many concurrent callers cause one request for a service token', async () => {
  const { id, secret } = await (await openAdminFixture(service.database)).createService('many');
  const credential = serviceCredential(
    { address: service.grpcAddress },
    { clientId: id, clientSecret: secret },
  );
  const many = await Promise.all(Array.from({ length: 100 }, () => credential.accessToken()));
  expect(new Set(many).size).toBe(1);
  expect(callsOf('IssueServiceToken')).toBe(1);
  credential.close();
});

test('calls alternate between addresses', async () => {
  const other = await startTestService({}, service.database);
  const both = createAuthClient({ address: `ipv4:${service.grpcAddress},${other.grpcAddress}` });
  const served = (at: TestService) => at.logLines.some((line) => line.includes('AuthService/GetJwks"'));
  await until(async () => {
    await both.getJwks();
    return served(service) && served(other);
  }, 'both have answered');
  both.close();
  await other.stop();
});

test('many concurrent callers cause one refresh of a session', async () => {
  const kept: string[] = [];
  const session = createUserSession(client, await client.login({ email, password }), ({ refreshToken }) => {
    kept.push(refreshToken);
  });
  const first = await session.accessToken();
  const before = callsOf('RefreshToken');
  let many = [first];
  while (many.every((token) => token === first)) {
    many = await Promise.all(Array.from({ length: 100 }, () => session.accessToken()));
    // The renewal is in the background: the answer has to be read.
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(kept).toHaveLength(1);
  // Callers that asked before the renewal still got the first token.
  expect(new Set(many.filter((token) => token !== first)).size).toBe(1);
  expect(callsOf('RefreshToken') - before).toBe(1);
  await session.logout();
  expect(await failureOf(client.refreshToken(session.tokens.refreshToken))).toMatchObject({
    reason: 'REFRESH_TOKEN_REVOKED',
  });
});

test('a call to an address without a server is retried and then fails', async () => {
  const unreachable = createAuthClient({ address: '127.0.0.1:1', deadlineMs: 1_000 });
  const failure = await failureOf(unreachable.getJwks());
  expect([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]).toContain(failure.code);
  expect(failure.reason).toBeNull();
  const controller = new AbortController();
  controller.abort();
  expect(await failureOf(unreachable.getJwks({ signal: controller.signal }))).toMatchObject({
    code: status.CANCELLED,
  });
  unreachable.close();
});

test('a call whose stream is closed is retried if its method is safe to repeat, and only then', async () => {
  const proxy = createServer();
  const closedOnce: string[] = [];
  const answered: string[] = [];
  proxy.on('stream', (stream, { ':path': path = '' }) => {
    stream.on('error', () => undefined);
    // What a call gets when its connection is ended because of other calls on it.
    if (!closedOnce.includes(path)) {
      closedOnce.push(path);
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      return;
    }
    answered.push(path);
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '16', 'x-request-id': 'a-1' },
      { endStream: true },
    );
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  const other = createAuthClient({ address: `127.0.0.1:${port}`, deadlineMs: 60_000 });
  const path = (method: string) => `/postern.v1.AuthService/${method}`;

  for (const [method, work] of [
    ['VerifyToken', () => other.verifyToken({ accessToken: 'a' })],
    ['RefreshToken', () => other.refreshToken('a')],
    ['RevokeToken', () => other.revokeToken({ token: 'a' })],
    ['IssueServiceToken', () => other.issueServiceToken({ clientId: 'a', clientSecret: 'b' })],
    ['GetJwks', () => other.getJwks()],
  ] as const) {
    expect(await failureOf(work())).toMatchObject({ code: status.UNAUTHENTICATED, requestId: 'a-1' });
    expect([closedOnce.at(-1), answered.at(-1)]).toEqual([path(method), path(method)]);
  }
  for (const [method, work] of [
    ['Login', () => other.login({ email, password })],
    ['ResetPassword', () => other.resetPassword({ resetToken: 'a', newPassword: password })],
  ] as const) {
    expect(await failureOf(work())).toMatchObject({ code: status.INTERNAL, requestId: null });
    expect(answered).not.toContain(path(method));
  }
  other.close();
  await new Promise((resolve) => proxy.close(resolve));
});

test('an invalid header value and a call of a closed client reject with a PosternError like any other call', async () => {
  const own = createAuthClient({ address: '127.0.0.1:1', deadlineMs: 1_000 });
  expect(await failureOf(own.getJwks({ requestId: 'é' }))).toMatchObject({ code: status.INVALID_ARGUMENT });
  const change = { accessToken: 'a\nb', currentPassword: 'c', newPassword: 'n' };
  expect(await failureOf(own.changePassword(change))).toMatchObject({ code: status.INVALID_ARGUMENT });
  own.close();
  expect(await failureOf(own.getJwks())).toMatchObject({ code: status.CANCELLED });
  expect(await failureOf(own.login({ email: 'a@example.com', password: 'p' }))).toMatchObject({
    code: status.CANCELLED,
  });
});
