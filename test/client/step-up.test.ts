import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';

import {
  type AuthClient,
  authenticateRequest,
  authInterceptor,
  type AuthInterceptorOptions,
  bearerInterceptor,
  createUserSession,
  createVerifier,
  openPolicyFile,
  PosternError,
  type Requirements,
  type TokenSet,
  type Verifier,
} from '../../src/client/postern-client.ts';
import { posternErrorOf } from '../../src/client/postern-error.ts';
import type { Authentication } from '../../src/domain/claims/authentication.ts';
import { ErrorInfo } from '../../src/generated/google/rpc/error_details.ts';
import { Status } from '../../src/generated/google/rpc/status.ts';
import { createTokenId, signAccessToken } from '../../src/tokens/issue/sign-access-token.ts';
import { generateSigningKey, importSigner } from '../../src/tokens/issue/signing-key.ts';
import type { Signer } from '../../src/tokens/issue/signer.ts';

const issuer = 'https://auth.example';
const folder = mkdtempSync(join(tmpdir(), 'postern-step-up-'));
const nowSeconds = () => Math.floor(Date.now() / 1000);
let keys: Server;
let signer: Signer;
let verifier: Verifier;
const closings: (() => unknown)[] = [];

beforeAll(async () => {
  const pair = await generateSigningKey('ES256');
  signer = await importSigner(pair);
  keys = createServer((_request, response) => response.end(JSON.stringify({ keys: [pair.publicJwk] })));
  await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
  const jwksUrl = `http://127.0.0.1:${(keys.address() as AddressInfo).port}/`;
  verifier = createVerifier({ trust: { jwksUrl, issuer, audiences: ['postern'] } });
  await verifier.ready(5_000);
});
afterAll(async () => {
  for (const close of closings) close();
  verifier.close();
  keys.closeAllConnections();
  await new Promise((resolve) => keys.close(resolve));
  rmSync(folder, { recursive: true });
});

const tokenWith = (authentication: Authentication | null, roles: string[] = []) =>
  signAccessToken(signer, {
    issuer,
    audience: 'postern',
    subject: 'ann',
    sessionId: 's1',
    clientId: 'postern',
    externalId: null,
    authentication,
    roles,
    tokenId: createTokenId(randomBytes(16)),
    issuedAtSeconds: nowSeconds(),
    lifetimeSeconds: 600,
  });
const level = (acr: 'aal1' | 'aal2', age = 0): Authentication => ({
  acr,
  amr: acr === 'aal2' ? ['pwd', 'otp'] : ['pwd'],
  authenticatedAtSeconds: nowSeconds() - age,
});

async function verdictOn(token: string, requirements: Requirements): Promise<string> {
  try {
    return (await verifier.verify(token, requirements)).subject;
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return error.reason ?? 'no reason';
  }
}

describe('M43 a verifier that requires a level', () => {
  test('accepts a token of the level, and refuses one of a lower level or without a level', async () => {
    const tokens = [await tokenWith(level('aal2')), await tokenWith(level('aal1')), await tokenWith(null)];
    const verdicts = (requirements: Requirements) =>
      Promise.all(tokens.map((token) => verdictOn(token, requirements)));
    expect(await verdicts({ minAcr: 'aal2' })).toEqual(['ann', 'STEP_UP_REQUIRED', 'STEP_UP_REQUIRED']);
    expect(await verdicts({ minAcr: 'aal1' })).toEqual(['ann', 'ann', 'STEP_UP_REQUIRED']);
    expect(await verdicts({})).toEqual(['ann', 'ann', 'ann']);
    // Now all three are in the cache.
    expect(await verdicts({ minAcr: 'aal2' })).toEqual(['ann', 'STEP_UP_REQUIRED', 'STEP_UP_REQUIRED']);
  });

  test('M44 refuses a proof that is too old, also of a token in the cache', async () => {
    const token = await tokenWith(level('aal1', 200));
    expect(await verdictOn(token, { maxAuthAgeSeconds: 300 })).toBe('ann');
    expect(await verdictOn(token, { maxAuthAgeSeconds: 100 })).toBe('STEP_UP_REQUIRED');
    jest.useFakeTimers({ now: Date.now() + 101_000, doNotFake: ['performance', 'nextTick', 'setImmediate'] });
    try {
      expect(await verdictOn(token, { maxAuthAgeSeconds: 300 })).toBe('STEP_UP_REQUIRED');
    } finally {
      jest.useRealTimers();
    }
  });

  test('says so before a role is missing, which step-up may bring, and what it requires', async () => {
    const token = await tokenWith(level('aal1', 400));
    const requirements = { minAcr: 'aal2', maxAuthAgeSeconds: 300, roles: ['admin'] } as const;
    expect(await verdictOn(token, requirements)).toBe('STEP_UP_REQUIRED');
    expect(await verdictOn(await tokenWith(level('aal2')), requirements)).toBe('ROLE_MISSING');
    const error = await Promise.resolve(
      verifier.verify(await tokenWith(level('aal2', 400)), requirements),
    ).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: grpc.status.UNAUTHENTICATED,
      requirement: { minAcr: 'aal2', maxAuthAgeSeconds: 300 },
      message: 'this needs a proof of at most 300 seconds ago; call StepUp',
    });
  });

  test('shows the level and the proof in the claims', async () => {
    const authentication = level('aal2', 5);
    expect(await verifier.verify(await tokenWith(authentication))).toMatchObject(authentication);
  });
});

test('M43 an HTTP guard refuses with the challenge of RFC 9470', async () => {
  const headers = { authorization: `Bearer ${await tokenWith(level('aal1'))}` };
  const refusalOf = async (requirements: Requirements) => {
    const verdict = await authenticateRequest(verifier, headers, requirements);
    return verdict.ok ? null : verdict.refusal;
  };
  expect(await refusalOf({ minAcr: 'aal2', maxAuthAgeSeconds: 300 })).toMatchObject({
    status: 401,
    headers: {
      'www-authenticate':
        'Bearer error="insufficient_user_authentication", error_description="this needs a second factor; call StepUp with a ' +
        'code or a passkey", acr_values="aal2", max_age="300"',
    },
    body: expect.stringContaining('"error":"STEP_UP_REQUIRED"'),
  });
  expect(await refusalOf({ minAcr: 'aal1' })).toBeNull();
});

async function callOf(
  options: Omit<AuthInterceptorOptions, 'verifier'>,
  token: string,
  onForget?: () => void,
) {
  const server = new grpc.Server({ interceptors: [authInterceptor({ verifier, ...options })] });
  const text = {
    path: '/t.T/Call',
    requestStream: false,
    responseStream: false,
    requestSerialize: (value: string) => Buffer.from(value),
    requestDeserialize: (bytes: Buffer) => bytes.toString(),
    responseSerialize: (value: string) => Buffer.from(value),
    responseDeserialize: (bytes: Buffer) => bytes.toString(),
  } as const;
  server.addService(
    { Call: text },
    {
      Call: (_call: unknown, answer: (error: null, text: string) => void) => answer(null, 'done'),
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const source = { accessToken: () => Promise.resolve(token), forget: () => onForget?.() };
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    interceptors: [bearerInterceptor(source)],
  });
  closings.push(() => server.forceShutdown());
  try {
    return await new Promise<PosternError | null>((resolve) =>
      client.makeUnaryRequest(text.path, text.requestSerialize, text.responseDeserialize, 'x', (error) =>
        resolve(error ? posternErrorOf(error) : null),
      ),
    );
  } finally {
    client.close();
  }
}

describe('M45 a server interceptor', () => {
  const second = { methods: { '/t.T/Call': { minAcr: 'aal2', maxAuthAgeSeconds: 300 } } } as const;

  test('refuses with what it requires, and the caller does not fetch a new token, which would be the same', async () => {
    const forget = jest.fn();
    const refused = await callOf(second, await tokenWith(level('aal1')), forget);
    expect(refused).toMatchObject({
      code: grpc.status.UNAUTHENTICATED,
      reason: 'STEP_UP_REQUIRED',
      requirement: { minAcr: 'aal2', maxAuthAgeSeconds: 300 },
    });
    expect(forget).not.toHaveBeenCalled();
    await callOf({}, `${await tokenWith(level('aal1'))}x`, forget);
    expect(forget).toHaveBeenCalledTimes(1);
    expect(await callOf(second, await tokenWith(level('aal2')))).toBeNull();
  });

  test('M41 holds the rules of a policy file and of the code, and names the strictest', async () => {
    const path = join(folder, 'policy.yaml');
    writeFileSync(path, 'version: 1\nmethods:\n  /t.T/Call: {max_auth_age: 300}\n');
    const policy = await openPolicyFile(path);
    closings.push(() => policy.close());
    const both = { policy, methods: { '/t.T/Call': { minAcr: 'aal2' } } } as const;
    expect(await callOf(both, await tokenWith(level('aal2')))).toBeNull();
    expect(await callOf(both, await tokenWith(level('aal1')))).toMatchObject({
      reason: 'STEP_UP_REQUIRED',
      requirement: { minAcr: 'aal2', maxAuthAgeSeconds: 300 },
    });
    expect(await callOf(both, await tokenWith(level('aal2', 400)))).toMatchObject({
      reason: 'STEP_UP_REQUIRED',
      requirement: { minAcr: 'aal2', maxAuthAgeSeconds: 300 },
    });
  });

  test.each<[string, string, Requirements]>([
    ['of the file', '{audience: reports, min_acr: aal2}', {}],
    ['of the file, the level of the code', '{audience: reports}', { minAcr: 'aal2' }],
    ['of the code, the level of the file', '{min_acr: aal2}', { audience: 'reports' }],
    ['of the file beside another', '{audience: reports, min_acr: aal2}', { audience: 'postern' }],
  ])('M41 asks nobody to step up for a token without the audience: that %s', async (_name, rule, access) => {
    const path = join(folder, 'audience.yaml');
    writeFileSync(path, `version: 1\nmethods:\n  /t.T/Call: ${rule}\n`);
    const policy = await openPolicyFile(path);
    closings.push(() => policy.close());
    const refused = await callOf(
      { policy, methods: { '/t.T/Call': access } },
      await tokenWith(level('aal1')),
    );
    expect(refused).toMatchObject({ reason: 'TOKEN_CLAIMS_INVALID' });
  });
});

test('M45 what a user can log in with is in the error of SECOND_FACTOR_REQUIRED', () => {
  const info = {
    reason: 'SECOND_FACTOR_REQUIRED',
    domain: 'postern',
    metadata: { factors: 'totp,recovery' },
  };
  const details = [
    {
      typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo',
      value: Buffer.from(ErrorInfo.encode(info).finish()),
    },
  ];
  const metadata = new grpc.Metadata();
  metadata.set(
    'grpc-status-details-bin',
    Buffer.from(Status.encode({ code: grpc.status.UNAUTHENTICATED, message: '', details }).finish()),
  );
  const error = Object.assign(new Error('refused'), {
    code: grpc.status.UNAUTHENTICATED,
    details: 'refused',
    metadata,
  });
  expect(posternErrorOf(error)).toMatchObject({
    reason: 'SECOND_FACTOR_REQUIRED',
    factors: ['totp', 'recovery'],
    requirement: null,
  });
});

describe('M45 the session of a user', () => {
  const tokenSet = (accessToken: string, refreshToken: string): TokenSet => ({
    accessToken,
    refreshToken,
    tokenType: 'bearer',
    expiresIn: 600,
    refreshExpiresIn: refreshToken === '' ? 0 : 6_000,
    sessionId: 's',
    userId: 'u',
  });

  test('uses the token of a step-up, and keeps its refresh token', async () => {
    const stepUp = jest.fn<AuthClient['stepUp']>().mockResolvedValue(tokenSet('raised', ''));
    const refreshToken = jest.fn();
    const client = { stepUp, refreshToken, revokeToken: jest.fn() } as unknown as AuthClient;
    const stored: TokenSet[] = [];
    const session = createUserSession(
      client,
      tokenSet('first', 'prt_1'),
      (tokens) => void stored.push(tokens),
    );
    await session.stepUp({ code: '123456' });
    expect(stepUp).toHaveBeenCalledWith({ code: '123456', accessToken: 'first' });
    expect(await session.accessToken()).toBe('raised');
    expect(session.tokens).toMatchObject({
      accessToken: 'raised',
      refreshToken: 'prt_1',
      refreshExpiresIn: 6_000,
    });
    expect(stored).toEqual([session.tokens]);
    expect(refreshToken).not.toHaveBeenCalled();
  });

  test('is not lowered by a refresh that began before', async () => {
    let now = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => now);
    let finishRefresh: (tokens: TokenSet) => void = () => undefined;
    const client = {
      stepUp: () => Promise.resolve(tokenSet('raised', '')),
      refreshToken: () => new Promise<TokenSet>((resolve) => (finishRefresh = resolve)),
      revokeToken: jest.fn(),
    } as unknown as AuthClient;
    const session = createUserSession(client, tokenSet('first', 'prt_1'));
    now = 500_000;
    const raising = session.stepUp({ code: '123456' });
    await new Promise((resolve) => setImmediate(resolve));
    finishRefresh(tokenSet('second', 'prt_2'));
    await raising;
    expect(await session.accessToken()).toBe('raised');
    expect(session.tokens).toMatchObject({ accessToken: 'raised', refreshToken: 'prt_2' });
    jest.restoreAllMocks();
  });
});
