import { generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';

/** A client's key pair, and the assertions that it signs (RFC 7523), made without Postern's code. */
export interface ClientKey {
  readonly algorithm: 'ES256' | 'RS256' | 'EdDSA';
  readonly privateKey: KeyObject;
  /** As `AddServiceKey` takes it. */
  readonly publicJwk: string;
}

export function makeClientKey(algorithm: ClientKey['algorithm'] = 'ES256'): ClientKey {
  const { publicKey, privateKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : algorithm === 'RS256'
        ? generateKeyPairSync('rsa', { modulusLength: 2048 })
        : generateKeyPairSync('ed25519');
  return { algorithm, privateKey, publicJwk: JSON.stringify(publicKey.export({ format: 'jwk' })) };
}

export interface AssertionParts {
  readonly clientId: string;
  readonly issuer: string;
  /** Claims and header members in place of the good ones; undefined removes one. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
}

export function makeAssertion(key: ClientKey, { clientId, issuer, claims, header }: AssertionParts): string {
  const now = Math.floor(Date.now() / 1000);
  const good = { iss: clientId, sub: clientId, aud: issuer, iat: now, exp: now + 60, jti: randomUUID() };
  const segment = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const signed = `${segment({ alg: key.algorithm, ...header })}.${segment({ ...good, ...claims })}`;
  const input = { key: key.privateKey, dsaEncoding: 'ieee-p1363' } as const;
  const digest = key.algorithm === 'EdDSA' ? null : 'sha256';
  return `${signed}.${sign(digest, Buffer.from(signed), input).toString('base64url')}`;
}
