import * as grpc from '@grpc/grpc-js';
import { afterAll, expect, test } from '@jest/globals';

import * as client from '../../src/client/postern-client.ts';

type Untyped = (...values: readonly unknown[]) => unknown;

/** The library as a program in JavaScript sees it: nothing stops a wrong argument. */
const library = client as unknown as Record<keyof typeof client, Untyped>;
const upstream = { address: '127.0.0.1:1' };
const auth = client.createAuthClient(upstream) as unknown as Record<keyof client.AuthClient, Untyped>;
const verifier = client.createVerifier({ trust: { upstream } }) as unknown as Record<
  keyof client.Verifier,
  Untyped
>;
afterAll(() => {
  auth.close();
  verifier.close();
});

const secret = 'prt_a-secret-that-no-message-shows';
const tokens = { accessToken: secret, refreshToken: secret, expiresIn: 600 };

test.each<[string, () => unknown, RegExp]>([
  ['the options as a text', () => library.createAuthClient('127.0.0.1:50051'), /must have an address/],
  ['a misspelt option', () => library.createAuthClient({ ...upstream, deadlineMS: 1 }), /deadlineMS is not/],
  [
    'a deadline as a text',
    () => library.createAuthClient({ ...upstream, deadlineMs: '1' }),
    /deadlineMs must/,
  ],
  [
    'half a retry policy',
    () => library.createAuthClient({ ...upstream, retry: { attempts: 1 } }),
    /retry must/,
  ],
  [
    'an account as a credential',
    () => library.createAuthClient({ ...upstream, credential: {} }),
    /credential must/,
  ],
  [
    'a misspelt CA file',
    () => library.createAuthClient({ ...upstream, tls: { cafile: 'a' } }),
    /tls.cafile is not/,
  ],
  ['tls: true', () => library.createAuthClient({ ...upstream, tls: true }), /tls must be an object/],
  [
    'login with two texts',
    () => auth.login('ann@example.com', secret),
    /must be an object, \{ email, password \}/,
  ],
  ['login without a password', () => auth.login({ email: 'ann@example.com' }), /password must be a string/],
  [
    'login with an address that is no text',
    () => auth.login({ email: 'a', password: secret, client: { address: 7 } }),
    /address must be/,
  ],
  [
    'verifyToken with the token itself',
    () => auth.verifyToken(secret),
    /must be an object, \{ accessToken \}/,
  ],
  [
    'refreshToken with an object',
    () => auth.refreshToken({ refreshToken: secret }),
    /must be the refresh token itself/,
  ],
  ['refreshToken with an array index', () => auth.refreshToken(secret, 0), /last argument must be an object/],
  [
    'refreshToken with a promise',
    () => auth.refreshToken(Promise.resolve(secret)),
    /must be the refresh token itself/,
  ],
  [
    'a misspelt setting of a call',
    () => auth.verifyToken(tokens, { deadline: 1 }),
    /deadline is not a known setting/,
  ],
  ['revokeToken with the token itself', () => auth.revokeToken(secret), /must be an object, \{ token \}/],
  [
    "allSessions: 'false'",
    () => auth.revokeToken({ token: secret, allSessions: 'false' }),
    /allSessions must be true or false/,
  ],
  [
    'issueServiceToken without a secret',
    () => auth.issueServiceToken({ clientId: 'a' }),
    /clientSecret must be/,
  ],
  [
    'changePassword with a user',
    () => auth.changePassword({ userId: 'a', newPassword: secret }),
    /accessToken must be/,
  ],
  [
    'resetPassword with a number',
    () => auth.resetPassword({ resetToken: secret, newPassword: 12345678 }),
    /newPassword must be/,
  ],
  [
    'login with a passkey that is no answer of a browser',
    () => auth.login({ email: 'a', password: secret, passkey: secret }),
    /login: passkey: the argument must be an object/,
  ],
  [
    'login with a code that is a number',
    () => auth.login({ email: 'a', password: secret, code: 123456 }),
    /code must be/,
  ],
  ['stepUp without a proof', () => auth.stepUp(tokens), /exactly one of password, code and passkey/],
  [
    'stepUp with two proofs',
    () => auth.stepUp({ accessToken: secret, password: secret, code: '123456' }),
    /exactly one of password, code and passkey/,
  ],
  [
    'stepUp with a misspelt proof',
    () => auth.stepUp({ accessToken: secret, otp: '1' }),
    /otp is not a known member/,
  ],
  [
    'confirmFactor without a code',
    () => auth.confirmFactor({ accessToken: secret, factorId: 'a' }),
    /code must be/,
  ],
  [
    'finishPasskeyRegistration with an object as credential',
    () =>
      auth.finishPasskeyRegistration({
        accessToken: secret,
        challengeToken: 'a',
        credentialJson: { id: secret },
      }),
    /credentialJson must be a string/,
  ],
  [
    'listFactors with the token itself',
    () => auth.listFactors(secret),
    /must be an object, \{ accessToken \}/,
  ],
  [
    'verifyToken with a level that does not exist',
    () => auth.verifyToken({ accessToken: secret, minAcr: 'aal3' }),
    /has a minAcr that is not aal1 or aal2/,
  ],
  ...[0, -1, 1.5, NaN, Infinity, '300', null, 2 ** 32].map((age): [string, () => unknown, RegExp] => [
    `a proof of at most ${String(age)} seconds ago`,
    () => verifier.verify('a', { maxAuthAgeSeconds: age }),
    /has a maxAuthAgeSeconds that is not a whole number/,
  ]),
  ...['aal3', 'AAL2', '', 2, undefined, null].map((acr): [string, () => unknown, RegExp] => [
    `the level ${String(acr)}`,
    () => verifier.verify('a', { minAcr: acr }),
    /has a minAcr that is not aal1 or aal2/,
  ]),
  ['a misspelt level', () => verifier.verify('a', { minACR: 'aal2' }), /unknown member 'minACR'/],
  [
    'a level of a caller without a token',
    () =>
      library.authInterceptor({
        verifier,
        methods: { '/a.B/C': { optional: true, minAcr: 'aal2', maxAuthAgeSeconds: 1 } },
      }),
    /has both 'minAcr' and 'optional'.*has both 'maxAuthAgeSeconds' and 'optional'/,
  ],
  [
    'a guard with a level that does not exist',
    () => library.requireToken(verifier, { minAcr: 'aal9' }),
    /has a minAcr that is not aal1 or aal2/,
  ],
  ['getJwks with a number', () => auth.getJwks(500), /last argument must be an object/],
  [
    'a session of a refresh token',
    () => library.createUserSession(auth, secret),
    /must be the answer of login/,
  ],
  [
    'a session of a service account',
    () => library.createUserSession(auth, { ...tokens, refreshToken: '' }),
    /use serviceCredential/,
  ],
  [
    'a session without a client',
    () => library.createUserSession(tokens, tokens),
    /must come from createAuthClient/,
  ],
  [
    'a service account without a secret',
    () => library.serviceCredential(upstream, { clientId: 'a', clientSecret: '' }),
    /must have clientId and clientSecret/,
  ],
  [
    'a token where its function belongs',
    () => Reflect.construct(client.ServiceCredential, [secret]) as unknown,
    /must be functions/,
  ],
  [
    'the token as a source',
    () => library.bearerInterceptor(secret),
    /must be a ServiceCredential or a UserSession/,
  ],
  ['no verifier', () => library.authInterceptor({}), /must come from createVerifier/],
  [
    'one service, not a list',
    () => library.authInterceptor({ verifier, services: {} }),
    /services must be a list/,
  ],
  [
    'a misspelt rule table',
    () => library.authInterceptor({ verifier, method: {} }),
    /method is not a known option/,
  ],
  [
    'a guard without a verifier',
    () => library.requireToken({ roles: ['a'] }),
    /must come from createVerifier/,
  ],
  ['a hook without a verifier', () => library.requireTokenHook(), /must come from createVerifier/],
  [
    'a request without headers',
    () => library.authenticateRequest(verifier, undefined),
    /headers of the request/,
  ],
  ['no options', () => library.createVerifier(), /must be an object/],
  [
    'a staleness as a text',
    () => library.createVerifier({ trust: { upstream }, maxStalenessMs: '5' }),
    /maxStalenessMs/,
  ],
  [
    'a URL that is none',
    () => library.createVerifier({ trust: { jwksUrl: 'jwks', issuer: 'a', audiences: ['b'] } }),
    /jwksUrl must be/,
  ],
  [
    'an event emitter',
    () => library.createVerifier({ trust: { upstream }, onEvent: {} }),
    /onEvent must be a function/,
  ],
  ['a callback for requirements', () => verifier.verify('a', () => ({ roles: ['a'] })), /plain object/],
  [
    'a Map of requirements',
    () => library.requireToken(verifier, new Map([['roles', ['a']]])),
    /plain object/,
  ],
  ['requirements not awaited', () => verifier.verify('a', Promise.resolve({ roles: ['a'] })), /plain object/],
  [
    'requirements of a prototype',
    () => library.requireTokenHook(verifier, Object.create({ roles: ['a'] })),
    /plain object/,
  ],
  ['a role that is a hole', () => verifier.verify('a', { roles: new Array(1) }), /roles that are not a list/],
  [
    'roles of a missing setting',
    () => verifier.verify('a', { roles: undefined }),
    /roles that are not a list/,
  ],
  [
    'a Map of rules',
    () => library.authInterceptor({ verifier, methods: new Map([['/a.B/C', { roles: ['a'] }]]) }),
    /methods must be a plain object/,
  ],
  [
    'a rule that is a Set',
    () => library.authInterceptor({ verifier, methods: { '/a.B/C': new Set(['a']) } }),
    /neither 'public' nor a plain object/,
  ],
  ['the request for its call', () => library.callerOf({ name: 'a' }), /the call that the handler got/],
  ['no call', () => library.callerOf(), /the call that the handler got/],
  [
    'a fetch request for its headers',
    () => library.authenticateRequest(verifier, new Request('http://127.0.0.1')),
    /must be the headers/,
  ],
  [
    'the hook of Fastify in Express',
    () => (library.requireTokenHook(verifier) as Untyped)({ headers: {} }, {}, () => undefined),
    /use requireToken/,
  ],
  [
    'the middleware of Express in Fastify',
    () => (library.requireToken(verifier) as Untyped)({ headers: {} }, { send: () => undefined }),
    /use requireTokenHook/,
  ],
  [
    'an address without a port, which would mean 443',
    () => library.createAuthClient({ address: 'localhost', tls: {} }),
    /address must be "host:port"/,
  ],
  [
    'a URL for an address',
    () => library.createVerifier({ trust: { upstream: { address: 'http://127.0.0.1:50051' } } }),
    /trust.upstream.address must be/,
  ],
  [
    'a misspelt option of the upstream',
    () => library.createVerifier({ trust: { upstream: { ...upstream, tsl: {} } } }),
    /trust.upstream.tsl is not/,
  ],
  [
    'a misspelt audience of an account',
    () => library.serviceCredential(upstream, { clientId: 'a', clientSecret: secret, audiance: 'b' }),
    /audiance is not/,
  ],
  [
    'a password in the URL of the key set',
    () =>
      library.createVerifier({
        trust: { jwksUrl: `https://a:${secret}@example.com`, issuer: 'a', audiences: ['b'] },
      }),
    /must not have a user or a password/,
  ],
  [
    'a misspelt member of a retry policy',
    () =>
      library.createAuthClient({
        ...upstream,
        retry: { attempts: 1, firstPauseMs: 0, longestPauseMs: 0, pause: 1 },
      }),
    /retry.pause is not/,
  ],
  ['a deadline that is no number', () => auth.getJwks({ deadlineMs: NaN }), /deadlineMs must/],
  ['a deadline beyond the range of gRPC', () => auth.getJwks({ deadlineMs: 1e300 }), /deadlineMs must/],
  [
    'a signal for the settings',
    () => auth.getJwks(AbortSignal.timeout(1)),
    /last argument must be an object/,
  ],
  [
    'a misspelt allSessions, which would end one session',
    () => auth.revokeToken({ token: secret, allsessions: true }),
    /allsessions is not/,
  ],
  ['a misspelt audience', () => auth.verifyToken({ ...tokens, audiance: 'a' }), /audiance is not/],
  [
    'a misspelt client',
    () => auth.login({ email: 'a', password: secret, client: { ip: '192.0.2.1' } }),
    /ip is not/,
  ],
  [
    'a misspelt option of logout',
    () => (library.createUserSession(auth, tokens) as client.UserSession).logout({ all: true } as object),
    /all is not/,
  ],
  [
    'a lifetime that is no number',
    () => library.createUserSession(auth, { ...tokens, expiresIn: NaN }),
    /expiresIn/,
  ],
  [
    'an issue in snake case',
    () =>
      new client.ServiceCredential(() => Promise.resolve({ access_token: secret } as never)).accessToken(),
    /must return \{ accessToken, expiresInSeconds \}/,
  ],
  ['ready without a time', () => verifier.ready(), /limitMs must be/],
  ['ready for ever: a timer would end at once', () => verifier.ready(Infinity), /limitMs must be/],
  ['a token that is undefined', () => verifier.verify(undefined), /token must be a string/],
])('V26 %s is a TypeError that shows no secret', async (_name, misuse, message) => {
  let error: unknown;
  try {
    await misuse();
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(TypeError);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).not.toContain(secret);
});

test.each([`${secret}\n`, 'a b', '', undefined])(
  'a token that no header can carry (%j) fails the call alone',
  async (value) => {
    const interceptor = client.bearerInterceptor({ accessToken: () => Promise.resolve(value as string) });
    const stub = new grpc.Client(upstream.address, grpc.credentials.createInsecure());
    const copy = (bytes: Buffer) => bytes;
    const error = await new Promise<grpc.ServiceError | null>((resolve) => {
      stub.makeUnaryRequest('/a.B/C', copy, copy, Buffer.alloc(0), { interceptors: [interceptor] }, resolve);
    });
    expect(error).toMatchObject({ code: grpc.status.UNAUTHENTICATED });
    expect(error?.details).toMatch(/did not return a token/);
    expect(error?.details).not.toContain(secret);
    stub.close();
  },
);
