import { describe, expect, test } from '@jest/globals';

import { readClientAssertion } from '../../src/tokens/verify/client-assertion.ts';
import { importClientKey, KeyRefused } from '../../src/tokens/verify/verification-key.ts';
import { makeAssertion, makeClientKey } from '../support/client-assertion.ts';

const clientId = '01890000-0000-7000-8000-000000000001';
const issuer = 'https://postern.example';
const key = makeClientKey();
const now = Math.floor(Date.now() / 1000);

function verdict(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
  named = clientId,
): string {
  const text = makeAssertion(key, { clientId, issuer, claims, header });
  const read = readClientAssertion(text, { issuer, clientId: named }, now);
  return read.ok ? 'read' : read.refusal.reason;
}

describe('T28 a client assertion', () => {
  test.each([
    [{}, {}],
    [{ exp: now + 300, iat: now }, { typ: 'JWT' }],
    [{ nbf: now }, { typ: 'client-authentication+jwt' }],
    [{ iat: now + 29, exp: now + 60 }, {}],
    [{ iat: now - 300, exp: now - 29 }, {}],
    [{ scope: 'anything' }, { kid: 'any' }],
  ])('is read: %j %j', (claims, header) => {
    expect(verdict(claims, header)).toBe('read');
    expect(verdict(claims, header, '')).toBe('read');
  });

  test.each([
    ['TOKEN_CLAIMS_INVALID', { aud: [issuer] }],
    ['TOKEN_CLAIMS_INVALID', { aud: [issuer, 'https://other.example'] }],
    ['TOKEN_CLAIMS_INVALID', { aud: `${issuer}/` }],
    ['TOKEN_CLAIMS_INVALID', { aud: `${issuer}/oauth/token` }],
    ['TOKEN_CLAIMS_INVALID', { aud: undefined }],
    ['TOKEN_CLAIMS_INVALID', { iss: 'somebody' }],
    ['TOKEN_CLAIMS_INVALID', { sub: '01890000-0000-7000-8000-000000000002' }],
    ['TOKEN_CLAIMS_INVALID', { iss: undefined, sub: undefined }],
    ['TOKEN_CLAIMS_INVALID', { exp: now + 301, iat: now }],
    ['TOKEN_CLAIMS_INVALID', { exp: now + 60, iat: now + 60 }],
    ['TOKEN_CLAIMS_INVALID', { exp: 2 ** 41, iat: 2 ** 41 - 60 }],
    ['TOKEN_CLAIMS_INVALID', { exp: `${now + 60}` }],
    ['TOKEN_CLAIMS_INVALID', { iat: undefined }],
    ['TOKEN_CLAIMS_INVALID', { nbf: 'now' }],
    ['TOKEN_CLAIMS_INVALID', { jti: undefined }],
    ['TOKEN_CLAIMS_INVALID', { jti: '' }],
    ['TOKEN_CLAIMS_INVALID', { jti: 'a\0b' }],
    ['TOKEN_CLAIMS_INVALID', { jti: 'x'.repeat(257) }],
    ['TOKEN_CLAIMS_INVALID', { jti: 7 }],
    ['TOKEN_EXPIRED', { iat: now - 60, exp: now - 30 }],
    ['TOKEN_NOT_YET_VALID', { iat: now + 31, exp: now + 90 }],
    ['TOKEN_NOT_YET_VALID', { nbf: now + 31 }],
  ])('%s for %j', (reason, claims) => {
    expect(verdict(claims)).toBe(reason);
  });

  test.each([
    ['TOKEN_TYPE_INVALID', { typ: 'at+jwt' }],
    ['TOKEN_MALFORMED', { jwk: {} }],
    ['TOKEN_MALFORMED', { crit: ['b64'] }],
    ['TOKEN_MALFORMED', { kid: 7 }],
  ])('%s for the header %j', (reason, header) => {
    expect(verdict({}, header)).toBe(reason);
  });

  test('of another client than the request names is refused', () => {
    expect(verdict({}, {}, '01890000-0000-7000-8000-000000000002')).toBe('TOKEN_CLAIMS_INVALID');
  });

  test('too long, or no token at all, is refused', () => {
    for (const text of ['a'.repeat(8193), 'a.b.c', '', '\0', '..', 'a'.repeat(60_000)]) {
      const read = readClientAssertion(text, { issuer, clientId }, now);
      expect(read.ok ? 'read' : read.refusal.reason).toMatch(/^TOKEN_(MALFORMED|TOO_LARGE)$/);
    }
  });
});

describe('a public key of a client', () => {
  test.each(['ES256', 'RS256', 'EdDSA'] as const)(
    'of %s is imported as tools write it',
    async (algorithm) => {
      const jwk = JSON.parse(makeClientKey(algorithm).publicJwk) as object;
      const { kid } = await importClientKey(jwk);
      expect(
        await importClientKey({ ...jwk, kid, alg: algorithm, use: 'sig', key_ops: ['verify'], ext: true }),
      ).toEqual(expect.objectContaining({ kid, algorithm }));
    },
  );

  const jwk = JSON.parse(key.publicJwk) as Record<string, string>;
  test.each<[string, unknown, RegExp]>([
    ['private', key.privateKey.export({ format: 'jwk' }), /private key/],
    ['a secret', { kty: 'oct', k: 'AAAA' }, /shared secret/],
    ['a set', { keys: [jwk] }, /key set/],
    ['a list', [jwk], /JSON object/],
    ['null', null, /JSON object/],
    ['of another kid', { ...jwk, kid: 'mine' }, /thumbprint of the key, [\w-]{43}/],
    ['for encryption', { ...jwk, use: 'enc' }, /use must be sig/],
    ['of an algorithm that does not fit', { ...jwk, alg: 'RS256' }, /does not match alg/],
    ['of an algorithm that Postern does not know', { ...jwk, alg: 'ES384' }, /alg must be/],
    ['of another curve', { ...jwk, crv: 'P-384' }, /alg must be/],
    ['with x5c', { ...jwk, x5c: [] }, /members other than/],
    ['not on the curve', { ...jwk, y: jwk['x'] }, /not a public key/],
  ])('%s is refused', async (_what, given, why) => {
    await expect(importClientKey(given)).rejects.toThrow(why);
    await expect(importClientKey(given)).rejects.toThrow(KeyRefused);
  });
});
