import { createHmac, createSecretKey, sign as signWith, type KeyObject } from 'node:crypto';

export type TokenMode = 'ES256' | 'RS256' | 'EdDSA' | 'HS256';

/** The input of hostile tokens: one valid token, the public key set, and, for an insider, the signing key. */
export interface TokenSetting {
  readonly mode: TokenMode;
  /** Accepted by the verifier under test, for the whole run. */
  readonly validToken: string;
  readonly issuer: string;
  readonly audience: string;
  readonly maxLifetimeSeconds: number;
  readonly nowSeconds: number;
  /** The published set; empty in HS256 mode. */
  readonly jwks: { readonly keys: readonly object[] };
  /**
   * The private key, or the shared secret, of the verifier's own issuer. Without it only those tokens are made that an
   * outsider can make, as in a test against a running service.
   */
  readonly signingKey: KeyObject | null;
}

export type JsonRecord = Readonly<Record<string, unknown>>;
export type Segment = string | Uint8Array;

export function encode(segment: Segment): string {
  return Buffer.from(segment).toString('base64url');
}

export function decode(segment: string): string {
  return Buffer.from(segment, 'base64url').toString('utf8');
}

export function json(value: unknown): string {
  return JSON.stringify(value);
}

/** JSON text of an object whose values are already JSON texts, in order, so that a name may occur twice. */
export function members(...entries: readonly (readonly [name: string, value: string])[]): string {
  return `{${entries.map(([name, value]) => `"${name}":${value}`).join(',')}}`;
}

/** The signature bytes of one algorithm, for keys of the issuer and of the attacker alike. */
export function signatureOf(mode: TokenMode, input: string, key: KeyObject): Buffer {
  const bytes = Buffer.from(input);
  switch (mode) {
    case 'ES256':
      return signWith('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });
    case 'RS256':
      return signWith('sha256', bytes, key);
    case 'EdDSA':
      return signWith(null, bytes, key);
    case 'HS256':
      return createHmac('sha256', key).update(bytes).digest();
  }
}

/** A compact JWS of these segments, signed. */
export function forge(mode: TokenMode, header: Segment, claims: Segment, key: KeyObject): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signatureOf(mode, input, key).toString('base64url')}`;
}

export function secretKey(bytes: Segment): KeyObject {
  return createSecretKey(Buffer.from(bytes));
}

/** The parsed valid token. */
export class Specimen {
  readonly setting: TokenSetting;
  readonly headerSegment: string;
  readonly claimsSegment: string;
  readonly signatureSegment: string;
  readonly header: JsonRecord;
  readonly claims: JsonRecord;

  constructor(setting: TokenSetting) {
    this.setting = setting;
    const [header = '', claims = '', signature = ''] = setting.validToken.split('.');
    this.headerSegment = header;
    this.claimsSegment = claims;
    this.signatureSegment = signature;
    this.header = JSON.parse(decode(header)) as JsonRecord;
    this.claims = JSON.parse(decode(claims)) as JsonRecord;
  }

  get mode(): TokenMode {
    return this.setting.mode;
  }

  get signature(): Buffer {
    return Buffer.from(this.signatureSegment, 'base64url');
  }

  /** The valid token with another signature. */
  signedAs(signature: Uint8Array): string {
    return `${this.headerSegment}.${this.claimsSegment}.${encode(signature)}`;
  }

  /** The header's JSON with changes; `undefined` removes a member. */
  headerWith(changes: JsonRecord): string {
    return json({ ...this.header, ...changes });
  }

  claimsWith(changes: JsonRecord): string {
    return json({ ...this.claims, ...changes });
  }

  /** The claims' JSON with one value given as JSON text, for what `JSON.stringify` cannot write. */
  claimsWithText(name: string, valueText: string): string {
    const others = Object.entries(this.claims).filter(([other]) => other !== name);
    return members(...others.map(([other, value]) => [other, json(value)] as const), [name, valueText]);
  }
}
