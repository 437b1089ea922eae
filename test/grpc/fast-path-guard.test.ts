import { type ClientHttp2Session, connect } from 'node:http2';

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';

import type { CallOrigin } from '../../src/domain/operation-call.ts';
import { Rejected, type Rejection } from '../../src/domain/rejection.ts';
import type { AuditRecord } from '../../src/features/audit/audit-queries.ts';
import {
  AuthServiceService,
  LoginRequest,
  RefreshTokenRequest,
  type TokenSet,
} from '../../src/generated/postern/v1/auth.ts';
import { FastCall } from '../../src/grpc/fast-path/fast-call.ts';
import type { FinishedCall, RefusalAfterEnd } from '../../src/rpc/call-context.ts';
import type { Call } from '../../src/rpc/call.ts';
import type { MethodGuard } from '../../src/rpc/method-guard.ts';
import { Code } from '../../src/rpc/status-code.ts';
import { type BareListener, type ListenerOptions, startBareListener } from '../support/bare-listener.ts';
import { comparable, framed, rawCall } from '../support/raw-grpc-call.ts';
import { until } from '../support/wait-for.ts';

const LOGIN = '/postern.v1.AuthService/Login';
const REFRESH = '/postern.v1.AuthService/RefreshToken';

const tokens: TokenSet = {
  accessToken: 'a',
  tokenType: 'bearer',
  expiresIn: 900,
  refreshToken: 'r',
  refreshExpiresIn: 1_000,
  sessionId: 's',
  userId: 'u',
};
const refusals: Readonly<Record<string, Rejection>> = {
  wrong: { kind: 'invalid-credentials', cause: 'wrong-password', account: 'hashed' },
  reused: {
    kind: 'refresh-refused',
    reason: 'REFRESH_TOKEN_REVOKED',
    cause: 'ended',
    subject: { target: { type: 'session', id: 'its-session' } },
  },
  full: { kind: 'server-overloaded', cause: 'full', retryAfterMs: 1_500 },
};

/** What a side has done, apart from its answers. */
class Side {
  readonly finished: FinishedCall[] = [];
  readonly audited: AuditRecord[] = [];
  readonly origins: CallOrigin[] = [];
  readonly warnings: string[] = [];
  readonly afterEnd: RefusalAfterEnd[] = [];
  listener: BareListener | undefined;
  #session: ClientHttp2Session | undefined;
  /** Lets the logins of `waiting` end. */
  release = (): void => undefined;

  get session(): ClientHttp2Session {
    if (!this.#session) throw new Error('the listener has not started');
    return this.#session;
  }

  async start(options: Partial<ListenerOptions>): Promise<void> {
    this.listener = await startBareListener({
      services: (add) =>
        add(
          { login: AuthServiceService.login, refreshToken: AuthServiceService.refreshToken },
          {
            login: ({ email }, call) => this.#answer(email, call),
            refreshToken: ({ refreshToken }, call) => this.#answer(refreshToken, call),
          },
        ),
      guard: this.#guard(),
      onFinish: (call) => this.finished.push(call),
      ...options,
    });
    this.#session = connect(`http://${this.listener.address}`);
  }

  async stop(): Promise<void> {
    this.#session?.destroy();
    await this.listener?.stop();
  }

  forget(): void {
    for (const list of [this.finished, this.audited, this.origins, this.warnings, this.afterEnd])
      list.length = 0;
  }

  async #answer(text: string, call: Call): Promise<TokenSet> {
    this.origins.push(call.origin);
    const waiting = new Promise<void>((resolve) => (this.release = resolve));
    if (text.startsWith('waiting')) await waiting;
    const rejection = refusals[text.split(' ').at(-1) ?? ''];
    if (rejection) throw new Rejected(rejection);
    if (text === 'a fault') throw new Error('a secret');
    return tokens;
  }

  #guard(): MethodGuard {
    return {
      authenticate: (_access, { authorization }) =>
        authorization[0] === 'Bearer service'
          ? Promise.resolve({ type: 'service', id: 'svc', sessionId: null, roles: [], claims: null })
          : Promise.reject(new Rejected({ kind: 'service-required' })),
      writeAudit: (record) => Promise.resolve(void this.audited.push(record)),
      refusals: { take: () => ({ unwritten: 0 }), missed: () => undefined },
      onAuditWriteFailed: () => undefined,
      onForwarderRefused: (reason) => this.warnings.push(reason),
      onRefusedAfterEnd: (refusal) => this.afterEnd.push(refusal),
    };
  }

  /** What is comparable of the effects of the calls since `forget`. */
  effects() {
    const withoutId = ({ requestId, ...origin }: CallOrigin) => ({ ...origin, hasId: requestId !== '' });
    return {
      finished: this.finished.map(({ path, code, reason, isFault }) => ({
        path,
        code,
        reason,
        isFault: isFault === true,
      })),
      audited: this.audited.map(({ event, origin }) => ({ event, origin: withoutId(origin) })),
      origins: this.origins.map(withoutId),
      warnings: this.warnings,
      afterEnd: this.afterEnd.map(({ path, reason }) => ({ path, reason })),
    };
  }
}

const direct = new Side();
/** The same server with every call going through grpc-js. */
const adapter = new Side();
const sides = [direct, adapter];

beforeAll(async () => {
  await direct.start({});
  await adapter.start({
    fastPath: false,
  });
});
afterAll(() => Promise.all(sides.map((side) => side.stop())));
beforeEach(() => sides.forEach((side) => side.forget()));
afterEach(() => {
  expect(direct.finished.every((call) => call instanceof FastCall)).toBe(true);
  expect(adapter.finished.some((call) => call instanceof FastCall)).toBe(false);
});

const login = (email: string, client?: { address: string; userAgent: string }) =>
  framed(
    LoginRequest.encode({
      email,
      password: 'p',
      audience: '',
      client,
      code: '',
      passkey: undefined,
    }).finish(),
  );
const refresh = (refreshToken: string) =>
  framed(RefreshTokenRequest.encode({ refreshToken, audience: '' } as RefreshTokenRequest).finish());
const client = { address: '192.0.2.7', userAgent: 'browser' };

const calls: [string, string, Buffer, Record<string, string>][] = [
  ['a login', LOGIN, login('ann'), { 'user-agent': 'curl' }],
  ['a login with a wrong password', LOGIN, login('wrong'), {}],
  ['a login over the limit', LOGIN, login('full'), {}],
  ['a login that fails', LOGIN, login('a fault'), {}],
  ['a login that cannot be decoded', LOGIN, framed(Buffer.from('0a02c328', 'hex')), {}],
  ['a login of a trusted forwarder', LOGIN, login('ann', client), { authorization: 'Bearer service' }],
  ['one that it refuses', LOGIN, login('wrong', client), { authorization: 'Bearer service' }],
  [
    'a login of another caller that names a client',
    LOGIN,
    login('ann', client),
    { authorization: 'Bearer x' },
  ],
  ['a refresh', REFRESH, refresh('r'), {}],
  ['a refresh of an ended session', REFRESH, refresh('reused'), {}],
  ['a refresh without a message', REFRESH, framed(Buffer.alloc(0)), {}],
];
test.each(calls)(
  '%s has the same answer, audit events and origin on the fast path and through grpc-js',
  async (_name, path, message, headers) => {
    const [one, other] = await Promise.all(
      sides.map(({ session }) => rawCall(session, path, [message], headers).answer),
    );
    if (!one || !other) throw new Error('there are two sides');
    expect(comparable(one)).toEqual(comparable(other));
    expect(direct.effects()).toEqual(adapter.effects());
    expect(direct.finished).toHaveLength(1);
    expect(JSON.stringify(comparable(one))).not.toContain('secret');
  },
);

test('L12 a service account is a trusted forwarder on the fast path, and nobody else is', async () => {
  await rawCall(direct.session, LOGIN, [login('ann', client)], { authorization: 'Bearer service' }).answer;
  await rawCall(direct.session, LOGIN, [login('ann', client)], { authorization: 'Bearer x' }).answer;
  await rawCall(direct.session, LOGIN, [login('ann')], { authorization: 'Bearer service' }).answer;
  expect(direct.origins.map(({ isTrustedForwarder }) => isTrustedForwarder)).toEqual([true, false, false]);
  expect(direct.warnings).toHaveLength(1);
});

test('L09 a refused guess is audited although its caller has cancelled, on the fast path, too', async () => {
  for (const side of sides) {
    const leaving = rawCall(side.session, LOGIN, [login('waiting wrong')]);
    await until(() => side.origins.length === 1, 'the login has arrived');
    leaving.cancel();
    await until(() => side.finished.length === 1, 'the call has ended');
    side.release();
    await until(() => side.afterEnd.length === 1, 'the refusal is reported');
  }
  expect(direct.finished[0]?.code).toBe(Code.CANCELLED);
  expect(direct.audited).toHaveLength(1);
  expect(direct.effects()).toEqual(adapter.effects());
});

test('N05 a login whose deadline passes has the same answer, and is audited', async () => {
  const headers = { 'grpc-timeout': '80m' };
  for (const side of sides) {
    const { headers: got } = await rawCall(side.session, LOGIN, [login('waiting wrong')], headers).answer;
    expect(got['grpc-status']).toBe(String(Code.DEADLINE_EXCEEDED));
    side.release();
    await until(() => side.afterEnd.length === 1, 'the refusal is reported');
  }
  expect(direct.audited).toHaveLength(1);
  expect(direct.effects()).toEqual(adapter.effects());
});
