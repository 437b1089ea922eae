import { describe, expect, jest, test } from '@jest/globals';

import { Rejected, type Rejection } from '../../src/domain/rejection.ts';
import type { HttpCall } from '../../src/http/http-call.ts';
import type { AuthCalls } from '../../src/http/oauth/auth-calls.ts';
import { formLogin, jsonLogin } from '../../src/http/oauth/password-endpoints.ts';
import { tokenEndpoint } from '../../src/http/oauth/token-endpoint.ts';
import { OAuthEndpoint, type OAuthWork } from '../../src/http/oauth/oauth-endpoint.ts';
import { introspectionEndpoint } from '../../src/http/oauth/introspection-endpoint.ts';
import { revocationEndpoint } from '../../src/http/oauth/revocation-endpoint.ts';
import { connectError } from '../../src/http/rpc/connect-protocol.ts';
import { statusDetails } from '../../src/rpc/status-details.ts';
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

describe('M46 a login with a second factor', () => {
  const answers = {
    sessionId: 's',
    userId: 'u',
    refreshExpiresIn: 6_000,
    accessToken: 'a',
    tokenType: 'bearer',
    expiresIn: 600,
    refreshToken: 'r',
  };
  const path = '/postern.v1.AuthService/Login';

  /** The answer of an endpoint to a request, and the login that it made. */
  async function answerOf(
    makeWork: (calls: AuthCalls) => OAuthWork,
    body: string,
    rejection: Rejection | null,
  ) {
    const login = jest.fn<AuthCalls['login']>(() =>
      rejection === null ? Promise.resolve(answers) : Promise.reject(new Rejected(rejection)),
    );
    const calls = { paths: { login: path, issueServiceToken: 'x', exchangeToken: 'y' }, login };
    const work = makeWork(calls as unknown as AuthCalls);
    const request = {
      path,
      request: { method: 'POST', headers: { 'content-type': work.type } },
      readBody: () => Promise.resolve(Buffer.from(body)),
      beforeDeadline: (answer: unknown) => answer,
      noteRefusal: () => undefined,
    };
    const answer = await new OAuthEndpoint(work).answer(request as unknown as HttpCall);
    return { ...answer, json: JSON.parse(String(answer.body)) as unknown, login };
  }
  const form = 'grant_type=password&username=ann%40example.com&password=p&code=492%20039';
  const json = JSON.stringify({ email: 'ann@example.com', password: 'p', code: '492 039' });
  const ways: [string, (calls: AuthCalls) => OAuthWork, string, number][] = [
    ['POST /login', jsonLogin, json, 401],
    ['POST /token', formLogin, form, 401],
    ['the password grant', (calls) => tokenEndpoint(calls, { hasPassword: true }), form, 400],
  ];

  test.each(ways)('%s passes the code on', async (_name, work, body) => {
    const { status, login } = await answerOf(work, body, null);
    expect(status).toBe(200);
    const request = { email: 'ann@example.com', password: 'p', code: '492 039' };
    expect(login).toHaveBeenCalledWith(expect.objectContaining(request), expect.anything());
  });

  test.each(ways)(
    '%s says which factors the user has, and not that the password is wrong',
    async (_name, work, body) => {
      const { status, json, headers } = await answerOf(work, body, {
        kind: 'second-factor-required',
        factors: ['totp', 'recovery'],
      });
      expect(status).toBe(403);
      expect(json).toMatchObject({
        error: 'mfa_required',
        reason: 'SECOND_FACTOR_REQUIRED',
        factors: ['totp', 'recovery'],
      });
      expect(headers).not.toHaveProperty('www-authenticate');
    },
  );

  test.each(ways)('%s says that the code is wrong', async (_name, work, body, expected) => {
    const { status, json } = await answerOf(work, body, { kind: 'second-factor-invalid', cause: 'used' });
    expect(status).toBe(expected);
    expect(json).toMatchObject({ error: 'invalid_grant', reason: 'SECOND_FACTOR_INVALID' });
    expect(json).not.toHaveProperty('factors');
  });
});

test('M46 the details of a refusal are readable in JSON', () => {
  const status = statusOf({ kind: 'second-factor-required', factors: ['totp', 'recovery'] });
  const { body } = connectError({ ...status, details: statusDetails(status) });
  expect(JSON.parse(String(body))).toMatchObject({
    code: 'unauthenticated',
    details: [
      {
        debug: {
          reason: 'SECOND_FACTOR_REQUIRED',
          domain: 'postern',
          metadata: { factors: 'totp,recovery' },
        },
      },
    ],
  });
});
