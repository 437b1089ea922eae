import { constants, createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

export type AlgorithmName = 'ES256' | 'EdDSA' | 'RS256';

/** What `PublicKeyCredential.toJSON()` returns. */
export interface CredentialJson {
  id: string;
  rawId: string;
  type: string;
  authenticatorAttachment?: string;
  clientExtensionResults: Record<string, unknown>;
  response: Record<string, unknown>;
}

/** What an answer says in place of what it should: how an attacker or a faulty authenticator would answer. */
export interface Deviation {
  readonly origin?: string;
  readonly type?: string;
  readonly challenge?: string;
  readonly clientData?: Record<string, unknown>;
  readonly rpId?: string;
  readonly flags?: number;
  readonly signCount?: number;
  readonly userHandle?: string | null;
  /** Signs with another key. */
  readonly signer?: KeyObject;
  readonly attestation?: { fmt?: string; attStmt?: Map<unknown, unknown> };
  readonly aaguid?: Buffer;
  readonly coseKey?: Buffer;
  /** Changes the authenticator data before they are signed. */
  readonly changeAuthData?: (authData: Buffer) => Buffer;
  /** Changes the client data before they are signed. */
  readonly changeClientData?: (clientData: Buffer) => Buffer;
}

/** UP, UV; BE and BS for a synced passkey. */
const VERIFIED = 0x05;
const SYNCED = 0x18;
const ATTESTED = 0x40;
const algorithmIds = { ES256: -7, EdDSA: -8, RS256: -257 } as const;

/** An authenticator that makes one passkey and answers with it, as a browser at an origin would pass it on. */
export class SoftwareAuthenticator {
  readonly credentialId = randomBytes(32);
  readonly algorithm: AlgorithmName;
  readonly privateKey: KeyObject;
  readonly coseKey: Buffer;
  readonly origin: string;
  readonly isSynced: boolean;
  userHandle = '';
  signCount: number;

  constructor(options: {
    origin: string;
    algorithm?: AlgorithmName;
    isSynced?: boolean;
    /** Counts from here on; 0 for one that does not count. */
    signCount?: number;
  }) {
    this.origin = options.origin;
    this.algorithm = options.algorithm ?? 'ES256';
    this.isSynced = options.isSynced ?? false;
    this.signCount = options.signCount ?? 0;
    const { privateKey, publicKey } = keyPair(this.algorithm);
    this.privateKey = privateKey;
    this.coseKey = coseKeyOf(this.algorithm, publicKey);
  }

  /** Answers `PublicKeyCredentialCreationOptionsJSON`. */
  register(optionsJson: string, deviation: Deviation = {}): CredentialJson {
    const options = JSON.parse(optionsJson) as {
      challenge: string;
      rp: { id: string };
      user: { id: string };
    };
    this.userHandle = options.user.id;
    const clientData = this.#clientData('webauthn.create', options.challenge, deviation);
    const attested = Buffer.concat([
      deviation.aaguid ?? Buffer.alloc(16),
      uint16(this.credentialId.length),
      this.credentialId,
      deviation.coseKey ?? this.coseKey,
    ]);
    const { changeAuthData = unchanged } = deviation;
    const authData = changeAuthData(
      Buffer.concat([
        this.#authenticatorData(options.rp.id, { flags: this.#flags() | ATTESTED, ...deviation }),
        attested,
      ]),
    );
    const { fmt = 'none', attStmt = new Map<unknown, unknown>() } = deviation.attestation ?? {};
    if (fmt === 'packed' && attStmt.size === 0) {
      attStmt.set('alg', algorithmIds[this.algorithm]);
      attStmt.set('sig', this.#sign(authData, clientData, deviation));
    }
    const attestationObject = encodeCbor(
      new Map<unknown, unknown>([
        ['fmt', fmt],
        ['attStmt', attStmt],
        ['authData', authData],
      ]),
    );
    return this.#credential({
      clientDataJSON: clientData.toString('base64url'),
      attestationObject: attestationObject.toString('base64url'),
      transports: ['internal', 'hybrid'],
    });
  }

  /** Answers `PublicKeyCredentialRequestOptionsJSON`. */
  assert(optionsJson: string, deviation: Deviation = {}): CredentialJson {
    const options = JSON.parse(optionsJson) as { challenge: string; rpId: string };
    if (this.signCount > 0) this.signCount += 1;
    const clientData = this.#clientData('webauthn.get', options.challenge, deviation);
    const { changeAuthData = unchanged } = deviation;
    const authData = changeAuthData(
      this.#authenticatorData(options.rpId, { flags: this.#flags(), ...deviation }),
    );
    return this.#credential({
      clientDataJSON: clientData.toString('base64url'),
      authenticatorData: authData.toString('base64url'),
      signature: this.#sign(authData, clientData, deviation).toString('base64url'),
      userHandle: deviation.userHandle === undefined ? this.userHandle : deviation.userHandle,
    });
  }

  #flags(): number {
    return VERIFIED | (this.isSynced ? SYNCED : 0);
  }

  #clientData(type: string, challenge: string, deviation: Deviation): Buffer {
    const data = {
      type: deviation.type ?? type,
      challenge: deviation.challenge ?? challenge,
      origin: deviation.origin ?? this.origin,
      crossOrigin: false,
      ...deviation.clientData,
    };
    const { changeClientData = unchanged } = deviation;
    return changeClientData(Buffer.from(JSON.stringify(data)));
  }

  #authenticatorData(rpId: string, { flags, ...deviation }: Deviation): Buffer {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(deviation.signCount ?? this.signCount);
    const rpIdHash = createHash('sha256')
      .update(deviation.rpId ?? rpId)
      .digest();
    return Buffer.concat([rpIdHash, Buffer.of(flags ?? 0), counter]);
  }

  #sign(authData: Buffer, clientData: Buffer, { signer }: Deviation): Buffer {
    const data = Buffer.concat([authData, createHash('sha256').update(clientData).digest()]);
    const key = signer ?? this.privateKey;
    if (this.algorithm === 'EdDSA') return sign(null, data, key);
    return sign('sha256', data, { key, dsaEncoding: 'der', padding: constants.RSA_PKCS1_PADDING });
  }

  #credential(response: CredentialJson['response']): CredentialJson {
    const id = this.credentialId.toString('base64url');
    return {
      id,
      rawId: id,
      type: 'public-key',
      authenticatorAttachment: 'platform',
      clientExtensionResults: {},
      response,
    };
  }
}

function unchanged(bytes: Buffer): Buffer {
  return bytes;
}

/** RSA keys take long to make, and no test needs two. */
let rsaKeys: ReturnType<typeof keyPair> | null = null;

function keyPair(algorithm: AlgorithmName): { privateKey: KeyObject; publicKey: KeyObject } {
  switch (algorithm) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'EdDSA':
      return generateKeyPairSync('ed25519');
    case 'RS256':
      return (rsaKeys ??= generateKeyPairSync('rsa', { modulusLength: 2048 }));
  }
}

/** The public key in the form of COSE. */
function coseKeyOf(algorithm: AlgorithmName, publicKey: KeyObject): Buffer {
  const jwk = publicKey.export({ format: 'jwk' });
  const bytes = (text: string | undefined) => Buffer.from(text ?? '', 'base64url');
  const members = {
    ES256: [
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, bytes(jwk.x)],
      [-3, bytes(jwk.y)],
    ],
    EdDSA: [
      [1, 1],
      [3, -8],
      [-1, 6],
      [-2, bytes(jwk.x)],
    ],
    RS256: [
      [1, 3],
      [3, -257],
      [-1, bytes(jwk.n)],
      [-2, bytes(jwk.e)],
    ],
  } as const;
  return encodeCbor(new Map<unknown, unknown>(members[algorithm]));
}

/** Encodes numbers, texts, bytes, booleans, null, arrays and maps as CBOR. */
export function encodeCbor(value: unknown): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === 'boolean') return Buffer.of(value ? 0xf5 : 0xf4);
  if (value === null) return Buffer.of(0xf6);
  if (typeof value === 'string')
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (value instanceof Map) {
    const entries = [...value].flatMap(([key, item]) => [encodeCbor(key), encodeCbor(item)]);
    return Buffer.concat([head(5, value.size), ...entries]);
  }
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(encodeCbor)]);
  throw new TypeError('no CBOR for this value');
}

function head(majorType: number, argument: number): Buffer {
  if (argument < 24) return Buffer.of((majorType << 5) | argument);
  if (argument < 0x100) return Buffer.of((majorType << 5) | 24, argument);
  if (argument < 0x1_0000) return Buffer.concat([Buffer.of((majorType << 5) | 25), uint16(argument)]);
  const wide = Buffer.alloc(5);
  wide.writeUInt8((majorType << 5) | 26);
  wide.writeUInt32BE(argument, 1);
  return wide;
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
