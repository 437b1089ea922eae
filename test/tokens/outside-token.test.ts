import { generateKeyPairSync, type KeyObject } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';

import { parseStrictJson, type JsonObject } from '../../src/tokens/verify/strict-json.ts';
import {
  canonicalKeySet,
  importOutsideKey,
  type OutsideKey,
  readOutsideKeySet,
} from '../../src/tokens/verify/outside-key.ts';
import {
  acceptedAlgorithm,
  outsideClaimFault,
  outsideSignatureMatches,
  readOutsideToken,
  selectOutsideKey,
  trustDomainOf,
} from '../../src/tokens/verify/outside-token.ts';
import { encode, forge, json, type TokenMode, type TokenSetting } from '../security/forge.ts';
import { hostileTokens } from '../security/hostile-tokens.ts';
import { verifierUnderTest } from '../security/verifier-under-test.ts';
import { makeIssuerKey, mint } from '../support/outside-issuer.ts';

const AUDIENCE = 'https://postern.example';
const rules = {
  isSpiffe: false,
  trustDomain: null,
  audience: AUDIENCE,
  algorithms: ['RS256', 'ES256'],
  maxAgeSeconds: 3_600,
};

/** What the checks of an exchange say of a token, in their order: a reason, or `OK`. */
async function verdictOf(
  token: string,
  keys: readonly OutsideKey[],
  nowSeconds: number,
  { issuer, ...given }: Partial<typeof rules> & { issuer: string },
): Promise<string> {
  const wanted = { ...rules, ...given };
  const read = readOutsideToken(token);
  if (!read.ok) return read.refusal.reason;
  if (read.claims['iss'] !== issuer) return 'ISSUER_NOT_TRUSTED';
  const algorithm = acceptedAlgorithm(read, wanted);
  if (algorithm === null) return 'TOKEN_ALG_NOT_ALLOWED';
  const key = selectOutsideKey(keys, read, algorithm);
  if (key === null) return 'TOKEN_KEY_UNKNOWN';
  if (!(await outsideSignatureMatches(read, key, algorithm))) return 'TOKEN_SIGNATURE_INVALID';
  return outsideClaimFault(read.claims, wanted, nowSeconds)?.reason ?? 'OK';
}

/**
 * What the outside profile means to accept of the hostile tokens of Postern's own profile: the classes for claims that only
 * Postern's tokens have, its longer limits, and the type JWT.
 */
const OWN_PROFILE_ROWS = ['T12', 'T13', 'T18', 'T19'];
/** Signed by the issuer itself, and within the outside profile: up to 16 KiB, without kid, with x5t, x5t#S256 or cty. */
const WITHIN_THE_PROFILE = [
  'T02 too long #10, signed',
  'T05 a kid of the wrong form #16, signed',
  'T06 a key in the token itself #13, signed',
  'T06 a key in the token itself #16, signed',
  'T07 a header member that changes the meaning #12, signed',
];

describe.each<TokenMode>(['ES256', 'RS256'])('hostile tokens of a trusted issuer, %s', (mode) => {
  test('W02 T01-T11 T14-T17 T20 none is accepted but what the profile means to', async () => {
    const subject = await verifierUnderTest(mode);
    const setting: TokenSetting = await subject.setting();
    const keys = readOutsideKeySet(JSON.stringify(setting.jwks));
    const { issuer, audience, nowSeconds } = setting;
    const given = { issuer, audience, algorithms: [mode], maxAgeSeconds: 86_400 };
    expect(await verdictOf(setting.validToken, keys, nowSeconds, given)).toBe('OK');
    const accepted: string[] = [];
    let count = 0;
    for (const { name, row, token } of hostileTokens(setting)) {
      if (OWN_PROFILE_ROWS.includes(row)) continue;
      count += 1;
      if ((await verdictOf(token, keys, nowSeconds, given)) === 'OK') accepted.push(`${row} ${name}`);
    }
    expect(count).toBeGreaterThan(400);
    expect(accepted).toEqual(WITHIN_THE_PROFILE);
  });
});

describe('the format', () => {
  const key = makeIssuerKey('k', 'ES256');
  const keys = [importOutsideKey(key.jwk)];
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: 'https://i.example', sub: 's', aud: AUDIENCE, iat: now, exp: now + 300 };
  const given = { issuer: 'https://i.example' };
  const verdict = (token: string) => verdictOf(token, keys, now, given);

  test.each([undefined, 'JWT', 'jwt', 'JOSE', 'at+jwt', 'application/at+jwt'])(
    'W02 typ %s is accepted',
    async (typ) => {
      expect(await verdict(mint(key, claims, { typ }))).toBe('OK');
    },
  );
  test.each(['secevent+jwt', 'dpop+jwt', 'logout+jwt', 'client-authentication+jwt', '', 'JWE'])('W02 typ %s is not', async (typ) => {
    expect(await verdict(mint(key, claims, { typ }))).toBe('TOKEN_TYPE_INVALID');
  }); // prettier-ignore
  test.each([{ x5t: 'abc' }, { 'x5t#S256': 'abc' }, { cty: 'JWT' }])('W02 %j is ignored', async (member) => {
    expect(await verdict(mint(key, claims, member))).toBe('OK');
  });
  test.each([{ crit: ['exp'] }, { jku: 'https://evil.example/jwks' }, { jwk: key.jwk }, { x5u: 'https://evil.example' }, { x5c: ['MII='] }, { b64: false }, { zip: 'DEF' }, { enc: 'A128GCM' }, { epk: {} }, { nonce: 'n' }])(
    'W02 T06 T07 %j is refused',
    async (member) => {
      expect(await verdict(mint(key, claims, member))).toBe('TOKEN_MALFORMED');
    },
  ); // prettier-ignore
  test('W02 16 KiB are accepted, and no byte more; duplicate members are not', async () => {
    const long = (bytes: number) => mint(key, { ...claims, padding: 'x'.repeat(bytes) });
    const room = Math.floor(((16_384 - long(0).length) * 3) / 4) - 3;
    expect(await verdict(long(room))).toBe('OK');
    expect(await verdict(long(room + 8))).toBe('TOKEN_TOO_LARGE');
    const twice = json(claims).replace('{', '{"sub":"t",');
    expect(await verdict(forge('ES256', json({ alg: 'ES256', kid: 'k' }), twice, key.privateKey))).toBe('TOKEN_MALFORMED'); // prettier-ignore
  });
  test('W02 without kid only a single key of the algorithm counts; keys with one kid count for none', async () => {
    const other = makeIssuerKey('other', 'ES256');
    const token = mint({ ...key, kid: undefined } as never, claims);
    expect(await verdict(token)).toBe('OK');
    const two = [...keys, importOutsideKey(other.jwk)];
    expect(await verdictOf(token, two, now, given)).toBe('TOKEN_KEY_UNKNOWN');
    const same = [...keys, importOutsideKey({ ...other.jwk, kid: 'k' })];
    expect(await verdictOf(mint(key, claims), same, now, given)).toBe('TOKEN_KEY_UNKNOWN');
  });
});

describe('the claims', () => {
  const now = 1_800_000_000;
  const good = { sub: 's', aud: [AUDIENCE, 'x'], iat: now, exp: now + 300 };
  const fault = (changes: object, more: Partial<typeof rules> = {}) =>
    outsideClaimFault(
      parseStrictJson(JSON.stringify({ ...good, ...changes })) as JsonObject,
      { ...rules, ...more },
      now,
    )?.reason ?? null;

  test.each<[object, string | null]>([
    [{}, null],
    [{ aud: AUDIENCE }, null],
    [{ jti: undefined, nbf: now - 1 }, null],
    [{ exp: now - 59 , iat: now - 300 }, null],
    [{ exp: now - 60, iat: now - 300 }, 'TOKEN_EXPIRED'],
    [{ iat: now - 3_660, exp: now + 10 }, null],
    [{ iat: now - 3_661, exp: now + 10 }, 'TOKEN_EXPIRED'],
    [{ iat: now + 60, exp: now + 300 }, null],
    [{ iat: now + 61 }, 'TOKEN_NOT_YET_VALID'],
    [{ nbf: now + 61 }, 'TOKEN_NOT_YET_VALID'],
    [{ exp: now + 86_400 }, null],
    [{ exp: now + 86_401 }, 'TOKEN_CLAIMS_INVALID'],
    [{ iat: undefined }, 'TOKEN_CLAIMS_INVALID'],
    [{ exp: undefined }, 'TOKEN_CLAIMS_INVALID'],
    [{ exp: String(now + 300) }, 'TOKEN_CLAIMS_INVALID'],
    [{ exp: 0 }, 'TOKEN_CLAIMS_INVALID'],
    [{ iat: '1' }, 'TOKEN_CLAIMS_INVALID'],
    [{ nbf: '1' }, 'TOKEN_CLAIMS_INVALID'],
    [{ aud: undefined }, 'TOKEN_CLAIMS_INVALID'],
    [{ aud: [] }, 'TOKEN_CLAIMS_INVALID'],
    [{ aud: `${AUDIENCE}/` }, 'TOKEN_CLAIMS_INVALID'],
    [{ aud: [[AUDIENCE]] }, 'TOKEN_CLAIMS_INVALID'],
    [{ aud: { 0: AUDIENCE } }, 'TOKEN_CLAIMS_INVALID'],
    [{ sub: undefined }, 'TOKEN_CLAIMS_INVALID'],
    [{ sub: '' }, 'TOKEN_CLAIMS_INVALID'],
    [{ sub: 7 }, 'TOKEN_CLAIMS_INVALID'],
    [{ sub: 'a\nb' }, 'TOKEN_CLAIMS_INVALID'],
    [{ sub: 'x'.repeat(1_025) }, 'TOKEN_CLAIMS_INVALID'],
  ])('W02 %j gives %s', (changes, expected) => {
    expect(fault(changes)).toBe(expected);
  }); // prettier-ignore

  test('W02 a JWT-SVID may lack iat, and then lives as short; its sub is of the trust domain', () => {
    const spiffe = { isSpiffe: true, trustDomain: 'spiffe://example.org' as never };
    const sub = 'spiffe://example.org/a';
    expect(fault({ sub, iat: undefined }, spiffe)).toBeNull();
    expect(fault({ sub, iat: undefined, exp: now + 3_661 }, spiffe)).toBe('TOKEN_CLAIMS_INVALID');
    for (const other of ['spiffe://example.com/a', 'spiffe://example.org.x/a', 'spiffe://example.org', 'a', 'spiffe://u@example.org/a', 'spiffe://example.org:8443/a', 'spiffe://example.org/a?x', 'spiffe://example.org/a%2fb', 'spiffe://example.org//a', 'spiffe://example.org/./a'])
      expect(fault({ sub: other }, spiffe)).toBe('TOKEN_CLAIMS_INVALID'); // prettier-ignore
    expect(trustDomainOf('spiffe://example.org/a/b')).toBe('spiffe://example.org');
  });
});

describe('keys of other issuers', () => {
  const rsa = (bits: number) => publicJwk(generateKeyPairSync('rsa', { modulusLength: bits }).publicKey);
  const ec = (namedCurve: string) => publicJwk(generateKeyPairSync('ec', { namedCurve }).publicKey);
  const publicJwk = (key: KeyObject) => key.export({ format: 'jwk' }) as Record<string, unknown>;
  const p256 = ec('P-256');
  const offCurve = { ...p256, y: encode(Buffer.alloc(32, 1)) };

  test('W06 as kube-apiserver, SPIRE and Azure write them', () => {
    expect(importOutsideKey({ ...rsa(2048), kid: 'a', use: 'sig', alg: 'RS256' }).algorithms).toEqual([
      'RS256',
    ]);
    expect(importOutsideKey({ ...p256, kid: 'a', use: 'jwt-svid' }).algorithms).toEqual(['ES256']);
    expect(importOutsideKey({ ...rsa(2048), x5c: ['MII'], x5t: 'abc', key_ops: ['verify'] }).algorithms).toEqual(['RS256', 'PS256']); // prettier-ignore
    expect(importOutsideKey(ec('P-384')).algorithms).toEqual(['ES384']);
    expect(importOutsideKey(publicJwk(generateKeyPairSync('ed25519').publicKey)).algorithms).toEqual([
      'EdDSA',
    ]);
  });

  test.each<[string, () => unknown]>([
    ['512-bit RSA', () => ({ kty: 'RSA', n: encode(Buffer.concat([Buffer.from([0xff]), Buffer.alloc(62, 7), Buffer.from([1])])), e: 'AQAB' })],
    ['1024-bit RSA', () => rsa(1024)],
    ['RSA of 8192 bits', () => ({ kty: 'RSA', n: encode(Buffer.alloc(1024, 0xff)), e: 'AQAB' })],
    ['RSA with exponent 1', () => ({ ...rsa(2048), e: 'AQ' })],
    ['RSA with exponent 3', () => ({ ...rsa(2048), e: 'Aw' })],
    ['an even modulus', () => ({ kty: 'RSA', n: encode(Buffer.alloc(256, 0xfe)), e: 'AQAB' })],
    ['a point off the curve', () => offCurve],
    ['the point at zero', () => ({ ...p256, x: encode(Buffer.alloc(32)), y: encode(Buffer.alloc(32)) })],
    ['a coordinate with zeros before it', () => ({ ...p256, x: encode(Buffer.alloc(33)) })],
    ['another curve under its name', () => ({ ...ec('P-384'), crv: 'P-256' })],
    ['secp256k1', () => ec('secp256k1')],
    ['P-521', () => ec('P-521')],
    ['a secret', () => ({ kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' })],
    ['a private key', () => publicJwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)],
    ['an algorithm of another key', () => ({ ...p256, alg: 'RS256' })],
    ['alg none', () => ({ ...p256, alg: 'none' })],
    ['alg HS256', () => ({ ...p256, alg: 'HS256' })],
    ['a key for encryption', () => ({ ...p256, use: 'enc' })],
    ['a key for certificates', () => ({ ...p256, use: 'x509-svid' })],
    ['a key that only signs', () => ({ ...p256, key_ops: ['sign'] })],
    ['padded base64url', () => ({ ...p256, x: `${String(p256['x'])}=` })],
    ['a kid that is no text', () => ({ ...p256, kid: 7 })],
    ['a kid with NUL', () => ({ ...p256, kid: 'a\0' })],
    ['a kid with half a character', () => ({ ...p256, kid: '\ud800' })],
    ['nothing', () => null],
    ['a list', () => [p256]],
  ])('W06 %s is refused', (_name, make) => {
    const jwk = make();
    expect(() => importOutsideKey(jwk)).toThrow('the key is refused');
    expect(() => readOutsideKeySet(JSON.stringify({ keys: [jwk] }))).toThrow('the key is refused');
  }); // prettier-ignore

  test('W06 a set keeps its usable keys, has at most 100, and is strict JSON', () => {
    expect(readOutsideKeySet(JSON.stringify({ keys: [offCurve, p256, { kty: 'oct', k: 'x' }] })).length).toBe(
      1,
    );
    expect(() => readOutsideKeySet(JSON.stringify({ keys: Array(101).fill(p256) }))).toThrow('more than 100');
    for (const text of ['', '[]', '{}', '{"keys":{}}', '{"keys":[]}', '{"keys":[],"keys":[]}', 'null'])
      expect(() => readOutsideKeySet(text)).toThrow('the key is refused');
  });

  test('W06 W10 a stored set has the public members of its usable keys alone, and verifies the same', () => {
    const private_ = publicJwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
    const set = [{ ...p256, kid: 'a', use: 'sig', note: '\0' }, private_, { ...rsa(2048), kid: 'b' }, { ...rsa(2048), alg: 'PS256' }]; // prettier-ignore
    const stored = canonicalKeySet(JSON.stringify({ keys: set, huge: 'HUGE' }).replace('"HUGE"', '1e999999'));
    const { keys } = JSON.parse(stored) as { keys: Record<string, unknown>[] };
    expect(keys.map((key) => Object.keys(key).sort().join())).toEqual(['alg,crv,kid,kty,x,y', 'e,kid,kty,n', 'alg,e,kty,n']); // prettier-ignore
    const read = (json: string) => readOutsideKeySet(json).map(({ kid, algorithms }) => [kid, algorithms]);
    expect(read(stored)).toEqual(read(JSON.stringify({ keys: set })));
    expect(canonicalKeySet(stored)).toBe(stored);
  });

  test('W06 PS256, ES384 and EdDSA verify, each only by its own key and algorithm', async () => {
    const pair = generateKeyPairSync('ed25519');
    const key = importOutsideKey(publicJwk(pair.publicKey));
    const token = readOutsideToken(
      forge('EdDSA', json({ alg: 'EdDSA' }), json({ sub: 's' }), pair.privateKey),
    );
    if (!token.ok) throw new Error('malformed');
    expect(await outsideSignatureMatches(token, key, 'EdDSA')).toBe(true);
    expect(selectOutsideKey([key], token, 'ES256')).toBeNull();
    const pairs = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const both = importOutsideKey(publicJwk(pairs.publicKey));
    const pkcs = readOutsideToken(
      forge('RS256', json({ alg: 'RS256' }), json({ sub: 's' }), pairs.privateKey),
    );
    if (!pkcs.ok) throw new Error('malformed');
    expect(await outsideSignatureMatches(pkcs, both, 'RS256')).toBe(true);
    expect(await outsideSignatureMatches(pkcs, both, 'PS256')).toBe(false);
  });
});
