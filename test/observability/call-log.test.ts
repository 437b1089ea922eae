import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';

import type { Caller } from '../../src/domain/caller.ts';
import { AuditRateLimiter, auditRateLimits } from '../../src/features/audit/audit-rate-limiter.ts';
import { Rejected } from '../../src/domain/rejection.ts';
import type { FinishedCall } from '../../src/rpc/call-context.ts';
import { callFields } from '../../src/observability/call-fields.ts';
import { CallLogger } from '../../src/observability/call-log.ts';

const LOGIN = '/postern.v1.AuthService/Login';
const VERIFY = '/postern.v1.AuthService/VerifyToken';
const REVOKE = '/postern.v1.AuthService/RevokeToken';
const max = auditRateLimits.perSource;

let written: { level: string; event: string; [field: string]: unknown }[];
let lines: CallLogger;
beforeEach(() => {
  jest.useFakeTimers();
  written = [];
  const at = (level: string) => (fields: object, event: string) =>
    void written.push({ ...fields, level, event });
  const log = { isLevelEnabled: () => true, debug: at('debug'), info: at('info'), error: at('error') };
  lines = new CallLogger(log, () => new AuditRateLimiter(auditRateLimits, () => performance.now()));
});
afterEach(() => {
  jest.useRealTimers();
});

function call(path: string, code: status, more: Partial<FinishedCall> = {}): FinishedCall {
  return {
    requestId: 'id',
    path,
    peer: '192.0.2.1:4711',
    throughUnixSocket: false,
    isTrustedProxy: () => false,
    startedAtMs: 0,
    durationMs: 1,
    caller: null,
    code,
    ...more,
  };
}
const junk = (more: Partial<FinishedCall> = {}) =>
  call(VERIFY, status.UNAUTHENTICATED, { reason: 'TOKEN_MALFORMED', ...more });
const logCalls = (calls: number, of: FinishedCall) => {
  for (let n = 0; n < calls; n += 1) lines.logCall(of);
};
const caller = (roles: string[]): Caller => ({
  type: 'user',
  id: 'ann',
  sessionId: 's',
  roles,
  claims: null,
});

test('O03 refusals of one source are logged up to the budget, and one line reports how many were omitted', () => {
  logCalls(5_000, junk());
  expect(written).toHaveLength(max);
  logCalls(1, junk({ peer: '192.0.2.2:4711' }));
  expect(written).toHaveLength(max + 1);
  jest.advanceTimersByTime(60_000);
  expect(written.at(-1)).toEqual({ level: 'info', event: 'calls-left-out', refusals: 5_000 - max });
  const before = written.length;
  jest.advanceTimersByTime(600_000);
  expect(written).toHaveLength(before);
});

test('O03 clients behind one trusted proxy do not share a budget', () => {
  logCalls(max + 1, junk({ clientAddress: '198.51.100.1' }));
  expect(written).toHaveLength(max);
  logCalls(1, junk({ clientAddress: '198.51.100.2' }));
  expect(written).toHaveLength(max + 1);
});

test('O03 at shutdown the omitted number is reported at once', () => {
  logCalls(max + 7, junk());
  lines.logOmitted();
  expect(written.at(-1)).toMatchObject({ event: 'calls-left-out', refusals: 7 });
  lines.logOmitted();
  expect(written).toHaveLength(max + 1);
});

test.each<[string, FinishedCall]>([
  ['a granted call', call(LOGIN, status.OK)],
  ['a logout', call(REVOKE, status.OK)],
  ['the reuse of a refresh token', call(LOGIN, status.UNAUTHENTICATED, { reason: 'REFRESH_TOKEN_REUSED' })],
  [
    "an administrator's refusal",
    call('/postern.v1.AdminService/GetUser', status.NOT_FOUND, { caller: caller(['admin']) }),
  ],
  ['an internal fault', call(LOGIN, status.INTERNAL)],
  ['a fault behind an answer', call(VERIFY, status.OK, { reason: 'TRUST_STALE', isFault: true })],
])('O03 %s is always logged', (_name, one) => {
  logCalls(2 * max, junk());
  const before = written.length;
  logCalls(3, one);
  expect(written.slice(before).map(({ event }) => event)).toEqual(['call', 'call', 'call']);
});

test('O03 faults have a budget of their own, which refusals do not use up', () => {
  logCalls(10 * max, junk());
  const before = written.length;
  logCalls(2 * max, call(LOGIN, status.INTERNAL));
  expect(written.slice(before).map(({ level }) => level)).toEqual(Array<string>(max).fill('error'));
  lines.logOmitted();
  expect(written.slice(-2)).toEqual([
    { level: 'error', event: 'calls-left-out', faults: max },
    { level: 'info', event: 'calls-left-out', refusals: 9 * max },
  ]);
});

test.each<[string, FinishedCall]>([
  ['a logout that ended nothing', call(REVOKE, status.OK, { isNoOp: true })],
  [
    'a denial that is an answer',
    call('/envoy.service.auth.v3.Authorization/Check', status.OK, { reason: 'TOKEN_EXPIRED' }),
  ],
  ['a cancelled call', call(VERIFY, status.CANCELLED)],
  ['an unknown method', call('/no.such/Method', status.UNIMPLEMENTED)],
  [
    'a refusal of a user without the admin role',
    call(VERIFY, status.PERMISSION_DENIED, { caller: caller(['reader']) }),
  ],
])('O03 %s is within the budget', (_name, one) => {
  logCalls(2 * max, one);
  expect(written).toHaveLength(max);
});

test('O03 behind a trusted gateway, each of its clients is a source', () => {
  const from = (address: string) => {
    const origin = { requestId: 'id', address, userAgent: null, isTrustedForwarder: true };
    const cause = new Rejected({ kind: 'invalid-credentials', cause: 'wrong-password', origin });
    return call(LOGIN, status.UNAUTHENTICATED, { reason: 'INVALID_CREDENTIALS', cause });
  };
  logCalls(2 * max, from('198.51.100.1'));
  logCalls(1, from('198.51.100.2'));
  expect(written).toHaveLength(max + 1);
});

test('R39 the fields of a call are those of the documented table', () => {
  const origin = { requestId: 'id', address: '192.0.2.1', userAgent: null, isTrustedForwarder: false };
  const refused = new Rejected({
    kind: 'invalid-credentials',
    cause: 'wrong-password',
    account: 'hash',
    origin,
  });
  const ids = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };
  lines.logCall(call(VERIFY, status.OK));
  lines.logCall(
    call(LOGIN, status.UNAUTHENTICATED, { reason: 'INVALID_CREDENTIALS', cause: refused, trace: ids }),
  );
  lines.logCall(call(LOGIN, status.INTERNAL, { cause: new Error('a fault') }));
  // What pino adds to each line.
  const logged = ['time', 'pid', ...written.flatMap((line) => Object.keys(line))];
  expect([...new Set(logged)].sort()).toEqual(Object.keys(callFields).sort());
  expect(written[1]).toMatchObject({ trace_id: ids.traceId, span_id: ids.spanId });
  expect(written[0]).not.toHaveProperty('trace_id');
});
