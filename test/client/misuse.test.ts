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
  ['ready without a time', () => verifier.ready(), /limitMs must be/],
  ['ready for ever: a timer would end at once', () => verifier.ready(Infinity), /limitMs must be/],
  ['a token that is undefined', () => verifier.verify(undefined), /token must be a string/],
])('%s is a TypeError that shows no secret', async (_name, misuse, message) => {
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
