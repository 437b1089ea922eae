import { afterAll, beforeAll, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';

import { startTestService, type TestService } from '../../support/test-service.ts';

const secret = 'b9b1a1e0d6c84f3b9c5a2f7e8d41c6035f7a9e2b1c8d4f60a3e5b7d9f1c2e4a6';
let service: TestService;

beforeAll(async () => {
  service = await startTestService({ POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: secret });
  await service.addUser('ann@example.com', 'correct horse battery', ['reader']);
});
afterAll(() => service.stop());

const verify = (token: string) => service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
const ours = { issuer: 'http://127.0.0.1:8080', audience: 'postern', subject: 'user 7', expiresIn: 600 };

test('a token signed here is accepted by jsonwebtoken', async () => {
  const token = await service.tokenOf('ann@example.com', 'correct horse battery');
  const claims = jwt.verify(token, secret, {
    algorithms: ['HS256'],
    issuer: ours.issuer,
    audience: 'postern',
  });
  expect(claims).toMatchObject({ client_id: 'postern', roles: ['reader'] });
  expect((await verify(token)).response).toMatchObject({ roles: ['reader'], subject_type: 'USER' });
});

test('a token that jsonwebtoken signed with the shared secret is accepted here', async () => {
  const { response, reason } = await verify(jwt.sign({}, secret, ours));
  expect(reason).toBeUndefined();
  expect(response).toMatchObject({ subject: 'user 7', audience: ['postern'], token_id: '' });
});

test.each([
  ['TOKEN_SIGNATURE_INVALID', jwt.sign({}, `${secret}!`, ours)],
  ['TOKEN_CLAIMS_INVALID', jwt.sign({}, secret, { ...ours, issuer: 'http://elsewhere' })],
  ['TOKEN_CLAIMS_INVALID', jwt.sign({}, secret, { ...ours, audience: 'others' })],
  ['TOKEN_EXPIRED', jwt.sign({}, secret, { ...ours, expiresIn: -60 })],
  ['TOKEN_ALG_NOT_ALLOWED', jwt.sign({}, secret, { ...ours, algorithm: 'HS512' })],
  ['TOKEN_MALFORMED', jwt.sign({}, '', { ...ours, algorithm: 'none' })],
])('refuses with %s', async (reason, token) => {
  expect((await verify(token)).reason).toBe(reason);
});

test.each([
  ['no iat', jwt.sign({}, secret, { ...ours, noTimestamp: true }), 'the token has no iat'],
  ['no sub', jwt.sign({}, secret, { issuer: ours.issuer, audience: 'postern' }), 'the token has no sub'],
  ['a kid', jwt.sign({}, secret, { ...ours, keyid: 'k' }), 'must not have a kid'],
  [
    'no typ',
    jwt.sign({}, secret, { ...ours, header: { alg: 'HS256', typ: undefined } }),
    'typ must be JWT or at',
  ],
  ['a type', jwt.sign({ type: 'refresh' }, secret, ours), 'the claim type must be access or absent'],
])('T27 a token with %s is refused with the reason', async (_name, token, words) => {
  expect((await verify(token)).message).toContain(words);
});

test('publishes no key', async () => {
  const { response } = await service.call('postern.v1.AuthService/GetJwks', {});
  expect(response?.['jwks']).toBe('{"keys":[]}');
});
