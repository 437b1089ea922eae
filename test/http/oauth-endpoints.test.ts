import { expect, test } from '@jest/globals';

import { Rejected, type Rejection } from '../../src/domain/rejection.ts';
import type { HttpCall } from '../../src/http/http-call.ts';
import type { AuthCalls } from '../../src/http/oauth/auth-calls.ts';
import { introspectionEndpoint } from '../../src/http/oauth/introspection-endpoint.ts';
import { revocationEndpoint } from '../../src/http/oauth/revocation-endpoint.ts';
import { statusOf } from '../../src/rpc/rejection-status.ts';

/** An endpoint whose client authenticates, and whose token is refused like this. */
function refusing(rejection: Rejection) {
  const calls = {
    paths: { verifyToken: '' },
    authenticateService: () => Promise.resolve(),
    verifyToken: () => Promise.reject(new Rejected(rejection)),
  } as unknown as AuthCalls;
  return introspectionEndpoint(calls);
}
const call = { authorization: [] } as unknown as HttpCall;
const parameters = new Map([
  ['token', 'x'],
  ['client_id', 'x'],
  ['client_secret', 'y'],
]);

test.each<Rejection>([
  { kind: 'trust-stale', retryAfterMs: 1_000 },
  { kind: 'store-unavailable', cause: 'away', retryAfterMs: 1_000 },
  { kind: 'server-overloaded', cause: 'full', retryAfterMs: 1_000 },
  { kind: 'shutting-down', retryAfterMs: 1_000 },
])('J02 a token that cannot be judged is not called inactive: $kind', async (rejection) => {
  const endpoint = refusing(rejection);
  await expect(endpoint.run(parameters, call)).rejects.toMatchObject({ rejection });
  expect(endpoint.errorOf(statusOf(rejection), call)).toEqual({
    error: 'temporarily_unavailable',
    httpStatus: 503,
  });
});

test('J02 a token that is refused is inactive', async () => {
  const refusal = { reason: 'TOKEN_REVOKED', detail: 'x' } as const;
  const endpoint = refusing({ kind: 'token-refused', refusal });
  expect(await endpoint.run(parameters, call)).toEqual({ active: false });
});

test('J03 a token that cannot be revoked is of an unsupported type, and nothing is acknowledged', async () => {
  const rejection: Rejection = {
    kind: 'field-invalid',
    violations: [{ field: 'token', description: 'has neither jti nor sid' }],
  };
  const calls = {
    paths: { revokeToken: '' },
    revokeToken: () => Promise.reject(new Rejected(rejection)),
  } as unknown as AuthCalls;
  const endpoint = revocationEndpoint(calls);
  await expect(endpoint.run(parameters, call)).rejects.toMatchObject({ rejection });
  expect(endpoint.errorOf(statusOf(rejection), call)).toEqual({
    error: 'unsupported_token_type',
    httpStatus: 400,
  });
});
