import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { AdminServiceService } from '../../src/generated/postern/v1/admin.ts';
import { methodTable, ruleOf } from '../../src/rpc/method-table.ts';
import { serveMethods } from '../../src/grpc/register-service.ts';
import { callAny } from '../support/any-call.ts';
import { type CallerKind, type Callers, makeCallers, otherAudience } from '../support/callers.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const guarded = Object.entries(methodTable)
  .filter(([, { access }]) => access !== 'public')
  .map(([path, { access, audit }]) => ({ method: path.slice(1), access, audit }));

/** The outcome of each caller by the class of the method; 'in' is any answer of the method to an empty request. */
const verdicts: Record<string, Record<CallerKind, string>> = {
  user: {
    none: 'UNAUTHENTICATED CREDENTIALS_MISSING',
    garbage: 'UNAUTHENTICATED TOKEN_MALFORMED',
    expired: 'UNAUTHENTICATED TOKEN_EXPIRED',
    revoked: 'UNAUTHENTICATED TOKEN_REVOKED',
    'other audience': 'UNAUTHENTICATED TOKEN_CLAIMS_INVALID',
    'service for another audience': 'UNAUTHENTICATED TOKEN_CLAIMS_INVALID',
    user: 'in',
    service: 'UNAUTHENTICATED TOKEN_CLAIMS_INVALID',
    admin: 'in',
    'admin service': 'UNAUTHENTICATED TOKEN_CLAIMS_INVALID',
    'another issuer': 'UNAUTHENTICATED TOKEN_KEY_UNKNOWN',
    'narrowed user': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'narrowed admin': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'admin without the role': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'narrowed service': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'admin service without the role': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'service for a user': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'service for an admin': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'service for a service': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'key of a user': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'key of an admin': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'key of an admin without the role': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'key of a service': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'key of an admin service': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
    'key from another network': 'UNAUTHENTICATED API_KEY_INVALID',
    'token of a key of an admin': 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED',
  },
  service: {
    none: 'UNAUTHENTICATED CREDENTIALS_MISSING',
    garbage: 'UNAUTHENTICATED TOKEN_MALFORMED',
    expired: 'UNAUTHENTICATED TOKEN_EXPIRED',
    revoked: 'UNAUTHENTICATED TOKEN_REVOKED',
    'other audience': 'UNAUTHENTICATED TOKEN_CLAIMS_INVALID',
    'service for another audience': 'UNAUTHENTICATED TOKEN_CLAIMS_INVALID',
    user: 'PERMISSION_DENIED SERVICE_REQUIRED',
    service: 'in',
    admin: 'PERMISSION_DENIED SERVICE_REQUIRED',
    'admin service': 'in',
    'another issuer': 'UNAUTHENTICATED TOKEN_KEY_UNKNOWN',
    'narrowed user': 'PERMISSION_DENIED SERVICE_REQUIRED',
    'narrowed admin': 'PERMISSION_DENIED SERVICE_REQUIRED',
    'admin without the role': 'PERMISSION_DENIED SERVICE_REQUIRED',
    'narrowed service': 'in',
    'admin service without the role': 'in',
    'service for a user': 'PERMISSION_DENIED SERVICE_REQUIRED',
    'service for an admin': 'PERMISSION_DENIED SERVICE_REQUIRED',
    'service for a service': 'in',
    'key of a user': 'PERMISSION_DENIED SERVICE_REQUIRED',
    'key of an admin': 'PERMISSION_DENIED SERVICE_REQUIRED',
    'key of an admin without the role': 'PERMISSION_DENIED SERVICE_REQUIRED',
    'key of a service': 'in',
    'key of an admin service': 'in',
    'key from another network': 'UNAUTHENTICATED API_KEY_INVALID',
    'token of a key of an admin': 'PERMISSION_DENIED SERVICE_REQUIRED',
  },
  admin: {
    none: 'UNAUTHENTICATED CREDENTIALS_MISSING',
    garbage: 'UNAUTHENTICATED TOKEN_MALFORMED',
    expired: 'UNAUTHENTICATED TOKEN_EXPIRED',
    revoked: 'UNAUTHENTICATED TOKEN_REVOKED',
    'other audience': 'UNAUTHENTICATED TOKEN_CLAIMS_INVALID',
    'service for another audience': 'UNAUTHENTICATED TOKEN_CLAIMS_INVALID',
    user: 'PERMISSION_DENIED ADMIN_REQUIRED',
    service: 'PERMISSION_DENIED ADMIN_REQUIRED',
    admin: 'in',
    'admin service': 'in',
    'another issuer': 'UNAUTHENTICATED TOKEN_KEY_UNKNOWN',
    'narrowed user': 'PERMISSION_DENIED ADMIN_REQUIRED',
    'narrowed admin': 'in',
    'admin without the role': 'PERMISSION_DENIED ADMIN_REQUIRED',
    'narrowed service': 'PERMISSION_DENIED ADMIN_REQUIRED',
    'admin service without the role': 'PERMISSION_DENIED ADMIN_REQUIRED',
    'service for a user': 'PERMISSION_DENIED ADMIN_REQUIRED',
    'service for an admin': 'in',
    'service for a service': 'PERMISSION_DENIED ADMIN_REQUIRED',
    'key of a user': 'PERMISSION_DENIED ADMIN_REQUIRED',
    'key of an admin': 'in',
    'key of an admin without the role': 'PERMISSION_DENIED ADMIN_REQUIRED',
    'key of a service': 'PERMISSION_DENIED ADMIN_REQUIRED',
    'key of an admin service': 'in',
    'key from another network': 'UNAUTHENTICATED API_KEY_INVALID',
    'token of a key of an admin': 'in',
  },
};

/** A key makes no keys, and neither does a token that was exchanged: what the callers get who administer otherwise. */
const makesKeys = ['postern.v1.AdminService/CreateApiKey', 'postern.v1.AdminService/RotateApiKey'];
const derivedAdmins: readonly CallerKind[] = [
  'narrowed admin',
  'service for an admin',
  'key of an admin',
  'key of an admin service',
  'token of a key of an admin',
];
function expectedOf(method: string, access: string): Record<string, string> {
  const refused = 'PERMISSION_DENIED CREDENTIAL_NOT_ALLOWED';
  const expected = { ...verdicts[access] };
  if (makesKeys.includes(method)) for (const kind of derivedAdmins) expected[kind] = refused;
  return expected;
}

let service: TestService;
let client: grpc.Client;
let callers: Callers;
beforeAll(async () => {
  service = await startTestService({
    POSTERN_AUDIENCE: `postern,${otherAudience}`,
    POSTERN_TRUSTED_PROXIES: '127.0.0.0/8',
  });
  client = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure());
  callers = await makeCallers(service);
});
afterAll(async () => {
  client.close();
  await service.stop();
});

let calls = 0;
async function answerTo(kind: CallerKind, method: string): Promise<{ verdict: string; requestId: string }> {
  const metadata = callers[kind].clone();
  const requestId = `matrix-${(calls += 1)}`;
  metadata.set('x-request-id', requestId);
  // Each method from a source of its own: beyond 300 refusals in a row from one source only some are recorded.
  metadata.set('x-forwarded-for', `192.0.2.${guarded.findIndex(({ method: name }) => name === method)}`);
  const { code, reason } = await callAny(client, method, [{}], metadata);
  const isRefused = code === grpc.status.UNAUTHENTICATED || code === grpc.status.PERMISSION_DENIED;
  return { verdict: isRefused ? `${grpc.status[code]} ${reason}` : 'in', requestId };
}

async function eventsOf(requestIds: readonly string[]): Promise<Record<string, Record<string, unknown>[]>> {
  const rows = await service.database.query(
    `SELECT request_id, action, outcome, reason, actor_type, actor_id FROM audit_events
     WHERE request_id = ANY($1) ORDER BY id`,
    [requestIds],
  );
  return Object.fromEntries(requestIds.map((id) => [id, rows.filter(({ request_id }) => request_id === id)]));
}

test('A01 every RPC of the contract has its rule, and none is served without one', () => {
  expect(guarded.length).toBeGreaterThan(15);
  expect(() => ruleOf('/postern.v1.AdminService/Unheard')).toThrow('no rule for');
  expect(() => ruleOf('toString')).toThrow('no rule for');
  const server = new grpc.Server();
  const unheard = {
    getUser: { ...AdminServiceService.getUser, path: '/postern.v1.AdminService/Unheard' },
  } as unknown as typeof AdminServiceService;
  const guard = {
    authenticate: () => Promise.reject(new Error('not asked')),
    writeAudit: () => Promise.resolve(),
    refusals: { take: () => null, missed: () => undefined },
    onAuditWriteFailed: () => undefined,
    onForwarderRefused: () => undefined,
    onRefusedAfterEnd: () => undefined,
  };
  expect(() => serveMethods(server, unheard, guard, { getUser: () => ({}) } as never)).toThrow('no rule for');
});

// G05: a narrower credential is narrower everywhere.
test('A07 only GetOverview leaves no audit event when it succeeds', () => {
  const unaudited = guarded.filter(
    ({ access, audit }) => access === 'admin' && (audit?.success === 'nobody' || audit?.refusals !== 'all'),
  );
  expect(unaudited).toEqual([
    {
      method: 'postern.v1.AdminService/GetOverview',
      access: 'admin',
      audit: { action: 'overview.read', success: 'nobody', refusals: 'all' },
    },
  ]);
});

describe.each(guarded)('A02 $method ($access)', ({ method, access, audit }) => {
  test('A07 admits exactly the permitted callers, and each call that is audited leaves one event', async () => {
    const answers = await Promise.all(
      (Object.keys(callers) as CallerKind[]).map(async (kind) => ({
        kind,
        ...(await answerTo(kind, method)),
      })),
    );
    expect(Object.fromEntries(answers.map(({ kind, verdict }) => [kind, verdict]))).toEqual(
      expectedOf(method, access),
    );
    if (audit?.refusals !== 'all') return;
    const events = await eventsOf(answers.map(({ requestId }) => requestId));
    for (const { kind, verdict, requestId } of answers) {
      const isAudited = verdict !== 'in' || audit.success !== 'nobody';
      expect({ kind, events: events[requestId] }).toEqual({
        kind,
        events: isAudited ? [expect.objectContaining({ action: audit.action })] : [],
      });
      if (verdict === 'in') continue;
      const isKnown = /ADMIN_REQUIRED$|CREDENTIAL_NOT_ALLOWED$/.test(verdict);
      expect(events[requestId]?.[0]).toMatchObject({
        outcome: 'refused',
        reason: verdict.split(' ')[1],
        actor_type: isKnown ? expect.stringMatching(/^(user|service)$/) : 'anonymous',
        actor_id: isKnown ? expect.any(String) : null,
      });
    }
  });
});
