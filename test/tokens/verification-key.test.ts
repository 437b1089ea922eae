import { generateKeyPairSync, type JsonWebKey } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { createKeyRing } from '../../src/tokens/verify/key-ring.ts';
import type { SigningAlgorithm } from '../../src/tokens/signing-algorithm.ts';
import { generateSigningKey, importSigner, type SigningKeyPair } from '../../src/tokens/issue/signing-key.ts';
import {
  importVerificationKey,
  thumbprintOf,
  type PublicJwk,
} from '../../src/tokens/verify/verification-key.ts';

/** RFC 7638 section 3.1. */
const rfc7638 = {
  kty: 'RSA',
  n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
  e: 'AQAB',
} as const;
/** RFC 8037 appendix A.1 and A.3. */
const rfc8037 = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' } as const;

describe('K02 kid is the RFC 7638 thumbprint', () => {
  test('of the examples in the RFCs', async () => {
    expect(await thumbprintOf(rfc7638)).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
    expect(await thumbprintOf(rfc8037)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });

  test('an example can be imported under it, and under no other', async () => {
    const jwk = { ...rfc8037, kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k', alg: 'EdDSA', use: 'sig' };
    expect(await importVerificationKey(jwk)).toMatchObject({
      kid: jwk.kid,
      algorithm: 'EdDSA',
      signatureBytes: 64,
      jwk,
    });
    await expect(importVerificationKey({ ...jwk, kid: 'key-1' })).rejects.toThrow('thumbprint');
  });
});

describe.each(['ES256', 'RS256', 'EdDSA'] as const)('a key of %s', (algorithm: SigningAlgorithm) => {
  let pair: SigningKeyPair;

  beforeAll(async () => {
    pair = await generateSigningKey(algorithm);
  });

  /** The public key with other members, under the resulting thumbprint. */
  async function changed(changes: object): Promise<object> {
    const jwk = { ...pair.publicJwk, ...changes };
    const kid = await thumbprintOf(jwk).catch(() => pair.kid);
    return { ...jwk, kid };
  }

  test('K01 K02 exports only its public members and its thumbprint', async () => {
    const members = { ES256: ['crv', 'x', 'y'], RS256: ['n', 'e'], EdDSA: ['crv', 'x'] }[algorithm];
    expect(Object.keys(pair.publicJwk).sort()).toEqual([...members, 'alg', 'kid', 'kty', 'use'].sort());
    expect(pair.publicJwk.kid).toBe(await thumbprintOf(pair.publicJwk));
    expect(pair.kid).toBe(pair.publicJwk.kid);
  });

  test('K10 has 128 bits of strength', async () => {
    const { signatureBytes, key } = await importVerificationKey(pair.publicJwk);
    expect(signatureBytes).toBe(algorithm === 'RS256' ? 384 : 64);
    if (algorithm === 'RS256') {
      expect(key.asymmetricKeyDetails).toEqual({ modulusLength: 3072, publicExponent: 65537n });
    }
    expect(key.type).toBe('public');
  });

  test('K01 a key with a private or an unknown member is refused', async () => {
    for (const member of [
      'd',
      'p',
      'q',
      'dp',
      'dq',
      'qi',
      'k',
      'oth',
      'key_ops',
      'x5c',
      'x5u',
      'ext',
      '__proto__x',
    ]) {
      await expect(importVerificationKey({ ...pair.publicJwk, [member]: 'AQAB' })).rejects.toThrow(
        'members other than',
      );
    }
  });

  test('a key of another type, or with non-canonical numbers, is refused', async () => {
    const first = algorithm === 'RS256' ? 'n' : 'x';
    const number = pair.publicJwk[first] ?? '';
    const wrong: readonly object[] = [
      { kty: 'oct' }, { kty: 'EC', crv: 'P-384' }, { kty: undefined }, { crv: 'X25519' }, { crv: 'P-521' }, { crv: 'secp256k1' },
      { alg: 'none' }, { alg: 'HS256' }, { alg: 'RS512' }, { alg: undefined }, { alg: ['ES256'] }, { alg: 'toString' }, { use: 'enc' },
      { use: undefined }, { kid: undefined }, { kid: ['x'] }, { [first]: undefined }, { [first]: '' }, { [first]: 7 }, { [first]: [number] },
      { [first]: `${number}=` }, { [first]: `${number}AAAA` }, { [first]: `AAAA${number}` }, { [first]: number.slice(-40) },
      { [first]: `${number.slice(0, -1)}+` }, { [first]: ` ${number}` },
    ]; // prettier-ignore
    for (const changes of wrong) {
      const jwk = 'kid' in changes ? { ...pair.publicJwk, ...changes } : await changed(changes);
      await expect(importVerificationKey(jwk)).rejects.toMatchObject({ name: 'KeyRefused' });
    }
    for (const junk of [null, undefined, 1, 'x', [], [pair.publicJwk], JSON.stringify(pair.publicJwk)]) {
      await expect(importVerificationKey(junk)).rejects.toMatchObject({ name: 'KeyRefused' });
    }
  });

  test('a private and a public key of different pairs are refused', async () => {
    const other = await generateSigningKey(algorithm);
    await expect(importSigner({ ...pair, privatePkcs8: other.privatePkcs8 })).rejects.toThrow(
      'does not match its public key',
    );
    await expect(importSigner({ ...pair, publicJwk: other.publicJwk })).rejects.toThrow('kid or algorithm');
    await expect(importSigner({ ...pair, kid: other.kid, publicJwk: other.publicJwk })).rejects.toThrow(
      'does not match its public key',
    );
    await expect(importSigner({ ...pair, privatePkcs8: other.privatePkcs8.subarray(1) })).rejects.toThrow(
      'PKCS #8',
    );
  });

  test('importing does not change the stored bytes', async () => {
    const before = Buffer.from(pair.privatePkcs8);
    await importSigner(pair);
    expect(before.equals(pair.privatePkcs8)).toBe(true);
  });
});

describe('K10 a weak key is refused', () => {
  async function publicJwkOf(bits: number, publicExponent: number): Promise<object> {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: bits, publicExponent });
    const jwk = { ...publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' } as JsonWebKey &
      PublicJwk;
    return { ...jwk, kid: await thumbprintOf(jwk) };
  }

  test.each([
    [1024, 65537, 'n must have 2048'],
    [2040, 65537, 'n must have 2048'],
    [2048, 3, 'e must be 65537'],
  ])('RSA with %i bits and e = %i', async (bits, exponent, message) => {
    await expect(importVerificationKey(await publicJwkOf(bits, exponent))).rejects.toThrow(message);
  });

  test('a point that is not on the curve', async () => {
    const { publicJwk } = await generateSigningKey('ES256');
    const y = Buffer.from(publicJwk.y ?? '', 'base64url');
    y[31] = (y[31] ?? 0) ^ 1;
    const jwk = { ...publicJwk, y: y.toString('base64url') };
    const kid = await thumbprintOf(jwk);
    await expect(importVerificationKey({ ...jwk, kid })).rejects.toThrow('not a public key');
  });

  test('RSA under 3072 bits verifies, but does not sign', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const bare = { ...publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' } as unknown as PublicJwk;
    const publicJwk = { ...bare, kid: await thumbprintOf(bare) };
    expect((await importVerificationKey(publicJwk)).signatureBytes).toBe(256);
    const privatePkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' });
    const pair = { kid: publicJwk.kid, algorithm: 'RS256', publicJwk, privatePkcs8 } as const;
    await expect(importSigner(pair)).rejects.toThrow('3072');
  });
});

describe('the key ring', () => {
  test('K11 serves equal bytes for equal sets in any order', async () => {
    const pairs = await Promise.all([
      generateSigningKey('ES256'),
      generateSigningKey('EdDSA'),
      generateSigningKey('ES256'),
    ]);
    const keys = await Promise.all(pairs.map(({ publicJwk }) => importVerificationKey(publicJwk)));
    const ring = createKeyRing(keys);
    const again = createKeyRing(keys.toReversed());
    expect(again.jwks).toEqual(ring.jwks);
    expect(ring.jwks.etag).toMatch(/^"[A-Za-z0-9_-]{43}"$/);
    expect(createKeyRing(keys.slice(1)).jwks.etag).not.toBe(ring.jwks.etag);
    const served = JSON.parse(ring.jwks.json) as { keys: PublicJwk[] };
    expect(served.keys.map(({ kid }) => kid)).toEqual(pairs.map(({ kid }) => kid).sort());
    expect(ring.kids).toEqual(served.keys.map(({ kid }) => kid));
  });

  test('K01 exports only public members', async () => {
    const pair = await generateSigningKey('ES256');
    const ring = createKeyRing([await importVerificationKey(pair.publicJwk)], await importSigner(pair));
    const { keys } = JSON.parse(ring.jwks.json) as { keys: object[] };
    expect(keys.map((key) => Object.keys(key).sort())).toEqual([
      ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
    ]);
    expect(createKeyRing([]).jwks.json).toBe('{"keys":[]}');
  });

  test('T05 finds a key by its exact kid', async () => {
    const { publicJwk, kid } = await generateSigningKey('EdDSA');
    const ring = createKeyRing([await importVerificationKey(publicJwk)]);
    expect(ring.find(kid)?.kid).toBe(kid);
    for (const other of ['', kid.slice(1), `${kid} `, kid.toUpperCase(), '__proto__', 'constructor']) {
      expect(ring.find(other)).toBeUndefined();
    }
  });

  test('refuses a duplicate kid, and a signer whose key is not published', async () => {
    const pair = await generateSigningKey('EdDSA');
    const key = await importVerificationKey(pair.publicJwk);
    expect(() => createKeyRing([key, key])).toThrow('same kid');
    const signer = await importSigner(pair);
    expect(() => createKeyRing([], signer)).toThrow('published');
  });
});
