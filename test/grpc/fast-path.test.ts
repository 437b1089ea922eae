import { type ClientHttp2Session, connect } from 'node:http2';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { authenticationFault } from '../../src/domain/claims/authentication.ts';
import type { VerifiedClaims } from '../../src/domain/claims/claims.ts';
import { Rejected } from '../../src/domain/rejection.ts';
import type { VerifyInput } from '../../src/features/authentication/verify-token.ts';
import { VerifiedToken, VerifyTokenRequest } from '../../src/generated/postern/v1/auth.ts';
import type { FinishedCall } from '../../src/rpc/call-context.ts';
import { Code } from '../../src/rpc/status-code.ts';
import { STANDARD_DEADLINE_MS } from '../../src/rpc/time-limits.ts';
import { FastCall } from '../../src/grpc/fast-path/fast-call.ts';
import { verificationOnly, verificationService } from '../../src/services/verification-service.ts';
import { type BareListener, type ListenerOptions, startBareListener } from '../support/bare-listener.ts';
import { someClaims } from '../support/claims.ts';
import { comparable, framed, rawCall } from '../support/raw-grpc-call.ts';
import { callFields, flag, frame, frameType, headers, RawHttp2 } from '../support/raw-http2.mjs';
import { until } from '../support/wait-for.ts';

const VERIFY = '/postern.v1.AuthService/VerifyToken';
const IDLE_MS = 1_000;
const claims = someClaims({
  issuer: 'here',
  audience: ['postern'],
  roles: ['reader'],
  issuedAtSeconds: 1,
  expiresAtSeconds: 2,
});

/** A handler whose behaviour the token selects. Its tokens satisfy no requirement of authentication. */
function verifyToken({ token, requirement }: VerifyInput): VerifiedClaims | Promise<VerifiedClaims> {
  const detail = requirement === undefined ? null : authenticationFault(claims, requirement, 0);
  if (detail !== null && requirement !== undefined)
    throw new Rejected({ kind: 'step-up-required', detail, requirement });
  switch (token) {
    case 'at once':
      return claims;
    case 'later':
      return Promise.resolve(claims);
    case 'never':
      return new Promise(() => undefined);
    case 'refused':
      throw new Rejected({
        kind: 'token-refused',
        refusal: { reason: 'TOKEN_EXPIRED', detail: 'the token is too old, über 1 %' },
      });
    case 'refused with half a character':
      throw new Rejected({
        kind: 'token-refused',
        refusal: { reason: 'TOKEN_MALFORMED', detail: `\ud800${'x'.repeat(2_000)}` },
      });
    case 'refused later':
      return Promise.reject(new Rejected({ kind: 'trust-stale', retryAfterMs: 70 }));
    case 'a fault':
      throw new Error('a secret');
    case 'a fault later':
      return Promise.reject(new Error('a secret'));
    case 'not to be encoded':
      return { ...claims, expiresAtSeconds: NaN };
    default:
      return { ...claims, subject: token };
  }
}

interface Listener {
  readonly address: string;
  readonly session: ClientHttp2Session;
  readonly finished: FinishedCall[];
}
let direct: Listener;
/** The same server with every call going through grpc-js. */
let adapter: Listener;
const listeners: BareListener[] = [];

async function listen(options: Partial<ListenerOptions>): Promise<Listener> {
  const finished: FinishedCall[] = [];
  const listener = await startBareListener({
    services: (add) => add(verificationOnly, verificationService({ verifyToken })),
    limits: { requestMs: 300 },
    onFinish: (call) => finished.push(call),
    ...options,
  });
  listeners.push(listener);
  const { address } = listener;
  return { address, session: connect(`http://${address}`), finished };
}

beforeAll(async () => {
  direct = await listen({});
  adapter = await listen({
    fastPath: false,
  });
});
afterAll(async () => {
  direct.session.destroy();
  adapter.session.destroy();
  for (const listener of listeners) await listener.stop();
});

/** @param pieces the request, each piece in a DATA frame of its own; null leaves the request open */
function call({ session }: Listener, pieces: readonly Buffer[] | null, extra: Record<string, string> = {}) {
  return rawCall(session, VERIFY, pieces, extra);
}

const about = (accessToken: string, required: { minAcr?: string; maxAuthAge?: number } = {}) =>
  Buffer.from(
    VerifyTokenRequest.encode({
      accessToken,
      audience: '',
      minAcr: '',
      maxAuthAge: undefined,
      clientAddress: '',
      ...required,
    }).finish(),
  );
const bytewise = (bytes: Buffer) => Array.from(bytes, (byte) => Buffer.of(byte));

describe('a call gets the same answer from the fast path and from grpc-js', () => {
  const onFastPath: [string, Buffer[], Record<string, string>][] = [
    ...[
      'at once',
      'later',
      'refused',
      'refused with half a character',
      'refused later',
      'a fault',
      'a fault later',
      'not to be encoded',
      'somebody',
    ].map((token): [string, Buffer[], Record<string, string>] => [token, [framed(about(token))], {}]),
    ['a level that the token lacks (M40)', [framed(about('at once', { minAcr: 'aal2' }))], {}],
    ['a proof that the token lacks (M40)', [framed(about('at once', { minAcr: 'aal1', maxAuthAge: 0 }))], {}],
    ['a level that does not exist (M40)', [framed(about('at once', { minAcr: 'aal3' }))], {}],
    ['an empty message', [framed(Buffer.alloc(0))], {}],
    ['junk', [framed(Buffer.from('ffffffffff', 'hex'))], {}],
    ['a token in the header', [framed(Buffer.alloc(0))], { authorization: 'Bearer somebody' }],
    ['identity named', [framed(about('at once'))], { 'grpc-encoding': 'identity' }],
    ['a deadline', [framed(about('later'))], { 'grpc-timeout': '5S' }],
    ['another content type', [framed(about('at once'))], { 'content-type': 'application/grpc+proto' }],
  ];
  test.each(onFastPath)('%s, on the fast path', async (_name, pieces, headers) => {
    const [one, other] = [call(direct, pieces, headers), call(adapter, pieces, headers)];
    const answers = [comparable(await one.answer), comparable(await other.answer)];
    expect(answers[0]).toEqual(answers[1]);
    const [ended, expected] = [direct.finished.at(-1), adapter.finished.at(-1)];
    expect(ended).toBeInstanceOf(FastCall);
    expect(expected).not.toBeInstanceOf(FastCall);
    expect(ended).toMatchObject({ code: expected?.code, path: VERIFY });
    expect(ended?.reason).toBe(expected?.reason);
    expect(JSON.stringify(answers[0])).not.toContain('secret');
  });

  const throughGrpcJs: [string, Buffer[], Record<string, string>][] = [
    ...[1, 3, 4, 5, 9].map((bytes): [string, Buffer[], Record<string, string>] => [
      `${bytes} bytes of a message and no more`,
      [framed(about('at once')).subarray(0, bytes)],
      {},
    ]),
    ['byte by byte', bytewise(framed(about('somebody'))), {}],
    ['in two pieces', [framed(about('somebody')).subarray(0, 9), framed(about('somebody')).subarray(9)], {}],
    ['gzip', [framed(gzipSync(about('somebody')), 1)], { 'grpc-encoding': 'gzip' }],
    ['a compressed flag alone', [framed(about('somebody'), 1)], {}],
    ['two messages', [framed(about('at once')), framed(about('at once'))], {}],
    ['a message and a byte', [Buffer.concat([framed(about('at once')), Buffer.of(0)])], {}],
    ['a message that is too long', [framed(Buffer.alloc(65_537))], {}],
    ['too much metadata', [framed(about('at once'))], { 'x-large': 'a'.repeat(17_000) }],
    ['an invalid timeout', [framed(about('at once'))], { 'grpc-timeout': 'soon' }],
    ['a content type that is not gRPC', [framed(about('at once'))], { 'content-type': 'application/json' }],
    ['GET', [framed(about('at once'))], { ':method': 'GET' }],
  ];
  test.each(throughGrpcJs)('%s, passed to grpc-js', async (_name, pieces, headers) => {
    const before = direct.finished.length;
    const [one, other] = [call(direct, pieces, headers), call(adapter, pieces, headers)];
    expect(comparable(await one.answer)).toEqual(comparable(await other.answer));
    expect(direct.finished.slice(before).filter((ended) => ended instanceof FastCall)).toEqual([]);
  });
});

describe('N11 two authorization fields, of which Node.js shows the first', () => {
  // As when the fast path passes a call on: a message in several pieces is read by grpc-js.
  const ways = () =>
    [
      [direct, 'on the fast path', false],
      [direct, 'passed to grpc-js', true],
      [adapter, 'traced', false],
    ] as const;
  async function ask({ address, finished }: Listener, isSplit: boolean, authorization: readonly string[]) {
    const before = finished.length;
    const raw = await RawHttp2.open(address);
    const body = framed(about(''));
    const cut = isSplit ? 1 : body.length;
    const [first, rest] = [body.subarray(0, cut), body.subarray(cut)];
    const data = (bytes: Buffer, flags: number) => frame(frameType.data, flags, 1, bytes);
    raw.send(headers(1, callFields(VERIFY, { authorization })), data(first, 0), data(rest, flag.endStream));
    await until(() => finished.length > before, 'the call has ended');
    raw.destroy();
    return finished.at(-1);
  }

  test.each([
    ['two tokens', ['Bearer at-once', 'Bearer b']],
    ['an empty one first', ['', 'Bearer b']],
    ['an empty one last', ['Bearer at-once', '']],
  ])('%s are refused', async (_name, values) => {
    for (const [listener, way, isSplit] of ways()) {
      const end = await ask(listener, isSplit, values);
      const { code, reason } = end ?? {};
      expect([way, code, reason]).toEqual([way, Code.UNAUTHENTICATED, 'TOKEN_MALFORMED']);
      expect([way, end instanceof FastCall]).toEqual([way, way === 'on the fast path']);
    }
  });

  test('one is accepted, also beside fields with that word', async () => {
    for (const [listener, way, isSplit] of ways()) {
      const end = await ask(listener, isSplit, ['Bearer at-once']);
      expect([way, end?.code]).toEqual([way, Code.OK]);
    }
    const { answer } = call(direct, [framed(about(''))], {
      authorization: 'Bearer at-once',
      'x-names': 'authorization',
    });
    expect((await answer).trailers['grpc-status']).toBe('0');
  });
});

test.each(['80m', '80000u', '80000000n'])('N05 a deadline of %s ends a call in time', async (timeout) => {
  const startMs = performance.now();
  const { headers } = await call(direct, [framed(about('never'))], { 'grpc-timeout': timeout }).answer;
  expect(headers['grpc-status']).toBe(String(Code.DEADLINE_EXCEEDED));
  expect(direct.finished.at(-1)).toMatchObject({ code: Code.DEADLINE_EXCEEDED });
  // Far below the deadline of the method itself.
  expect(performance.now() - startMs).toBeLessThan(STANDARD_DEADLINE_MS / 2);
});

test('the answer has the request id of its call, or a new one if that is invalid', async () => {
  const good = await call(direct, [framed(about('at once'))], { 'x-request-id': 'a-1' }).answer;
  expect(good.trailers['x-request-id']).toBe('a-1');
  expect(VerifiedToken.decode(good.body.subarray(5)).subject).toBe('ann');
  const bad = await call(direct, [framed(about('refused'))], { 'x-request-id': 'a b' }).answer;
  expect(bad.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
});

test('a cancelled call ends exactly once, as CANCELLED', async () => {
  const before = direct.finished.length;
  const leaving = call(direct, [framed(about('never'))]);
  // A later call on the same connection was answered, so this one has arrived.
  await call(direct, [framed(about('at once'))]).answer;
  leaving.cancel();
  await leaving.answer;
  await until(() => direct.finished.length === before + 2, 'both have ended');
  const ended = direct.finished.slice(before);
  expect(ended.map(({ code }) => code)).toEqual([Code.OK, Code.CANCELLED]);
  // The log has the address of the caller.
  const { localPort = 0 } = direct.session.socket;
  expect(ended.map(({ peer }) => peer)).toEqual(ended.map(() => `127.0.0.1:${localPort}`));
});

test('a call that ends with its connection has the address of the caller, too', async () => {
  const listener = await listen({});
  call(listener, [framed(about('never'))]);
  await call(listener, [framed(about('at once'))]).answer;
  const { localPort = 0 } = listener.session.socket;
  listener.session.destroy();
  await until(() => listener.finished.length === 2, 'both have ended');
  expect(listener.finished.at(-1)).toMatchObject({ code: Code.CANCELLED, peer: `127.0.0.1:${localPort}` });
});

test('N05 a request that does not arrive ends with DEADLINE_EXCEEDED', async () => {
  const answer = await call(direct, null).answer;
  expect(answer.headers['grpc-status']).toBe(String(Code.DEADLINE_EXCEEDED));
});

test('a connection in use is not closed as idle, and an idle one is', async () => {
  const listener = await listen({ limits: { connection: { 'grpc.max_connection_idle_ms': IDLE_MS } } });
  const startMs = performance.now();
  const isClosed = () => listener.session.closed || listener.session.destroyed;
  while (performance.now() - startMs < 3 * IDLE_MS && !isClosed())
    await call(listener, [framed(about('at once'))]).answer;
  expect(isClosed()).toBe(false);
  await until(isClosed, 'an idle connection is closed');
});
