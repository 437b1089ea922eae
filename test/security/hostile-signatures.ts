import { constants, createHash, createHmac, createPublicKey, sign as signWith } from 'node:crypto';
import { encode, forge, json, secretKey, signatureOf, type Specimen } from './forge.ts';
import { attackerKey } from './hostile-headers.ts';
import type { HostileClass, Variant } from './hostile-tokens.ts';

const signatureInvalid = ['TOKEN_SIGNATURE_INVALID'] as const;

/** The order of P-256, and of the group of Ed25519. */
const p256Order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const ed25519Order = 2n ** 252n + 27742317777372353535851937790883648493n;

/** Attacks by the signature: none, a wrong one, one in another encoding, one outside the range, one of another key. */
export const signatureClasses: readonly HostileClass[] = [
  {
    name: 'a signature of another length',
    row: 'T20',
    expected: signatureInvalid,
    *variants(specimen) {
      const { signature } = specimen;
      for (const length of [1, 2, 31, 33, 63, 65, 70, 96, 128, 255, 257, 383, 385, 512]) {
        if (length !== signature.length) yield { text: specimen.signedAs(Buffer.alloc(length, signature)) };
      }
      yield { text: specimen.signedAs(signature.subarray(1)) };
      yield { text: specimen.signedAs(Buffer.concat([Buffer.from([0]), signature])) };
      yield { text: specimen.signedAs(Buffer.concat([signature, Buffer.from([0])])) };
      yield { text: specimen.signedAs(Buffer.concat([signature, signature])) };
    },
  },
  {
    name: 'arbitrary bytes of the right length',
    row: 'T20',
    expected: signatureInvalid,
    *variants(specimen) {
      const { length } = specimen.signature;
      for (const fill of [0x00, 0x01, 0x55, 0x7f, 0x80, 0xaa, 0xff])
        yield { text: specimen.signedAs(Buffer.alloc(length, fill)) };
      yield { text: specimen.signedAs(Buffer.from(specimen.signature).reverse()) };
      const half = length / 2;
      const { signature } = specimen;
      yield {
        text: specimen.signedAs(Buffer.concat([signature.subarray(half), signature.subarray(0, half)])),
      };
      yield { text: specimen.signedAs(signature.map((byte) => byte ^ 0xff)) };
    },
  },
  {
    name: 'the signature of another key',
    row: 'T20',
    expected: signatureInvalid,
    *variants({ mode, header, claims, setting }) {
      const key = attackerKey(mode);
      const admin = json({ ...claims, roles: ['admin'], sub: 'admin' });
      yield { text: forge(mode, json(header), json(claims), key) };
      yield { text: forge(mode, json(header), admin, key) };
      for (const secret of mode === 'HS256'
        ? sharedSecretMistakes(setting.signingKey?.export().toString() ?? '')
        : []) {
        yield { text: forge(mode, json(header), admin, secretKey(secret)) };
      }
    },
  },
  {
    name: 'the signature of other content',
    row: 'T20',
    expected: signatureInvalid,
    *variants(specimen) {
      for (const change of [
        { roles: ['admin'] },
        { sub: 'admin' },
        { exp: specimen.setting.nowSeconds + 1 },
        { extra: 1 },
      ]) {
        yield {
          text: `${specimen.headerSegment}.${encode(specimen.claimsWith(change))}.${specimen.signatureSegment}`,
        };
      }
      yield {
        text: `${encode(JSON.stringify(specimen.header, null, 1))}.${specimen.claimsSegment}.${specimen.signatureSegment}`,
      };
      yield {
        text: `${specimen.headerSegment}.${encode(JSON.stringify(specimen.claims, null, 1))}.${specimen.signatureSegment}`,
      };
      yield { text: `${specimen.headerSegment}.${encode('{}')}.${specimen.signatureSegment}` };
      const { signingKey } = specimen.setting;
      if (signingKey === null) return;
      for (const input of [
        '',
        specimen.claimsSegment,
        json(specimen.claims),
        `${specimen.headerSegment}.`,
        `.${specimen.claimsSegment}`,
        specimen.setting.validToken,
        `${json(specimen.header)}.${json(specimen.claims)}`,
      ]) {
        yield { text: specimen.signedAs(signatureOf(specimen.mode, input, signingKey)) };
      }
    },
  },
  {
    name: 'segments in another order',
    row: 'T20',
    expected: ['TOKEN_MALFORMED'],
    *variants({ headerSegment: h, claimsSegment: c, signatureSegment: s }) {
      for (const parts of [
        [h, s, c],
        [c, h, s],
        [c, s, h],
        [s, h, c],
        [s, c, h],
      ])
        yield { text: parts.join('.') };
    },
  },
  {
    name: 'r and s outside the range of ECDSA',
    row: 'T20',
    expected: signatureInvalid,
    *variants(specimen) {
      if (specimen.mode !== 'ES256') return;
      const { signature } = specimen;
      const [r, s] = [signature.subarray(0, 32), signature.subarray(32)].map(toBigInt) as [bigint, bigint];
      const edges = [0n, 1n, 2n, p256Order - 1n, p256Order, p256Order + 1n, 2n ** 256n - 1n];
      for (const edge of edges) {
        for (const other of edges) yield ecdsa(specimen, edge, other);
        yield ecdsa(specimen, edge, s);
        yield ecdsa(specimen, r, edge);
      }
      yield ecdsa(specimen, s, r);
      yield ecdsa(specimen, p256Order - r, s);
      if (r + p256Order < 2n ** 256n) yield ecdsa(specimen, r + p256Order, s);
      if (s + p256Order < 2n ** 256n) yield ecdsa(specimen, r, s + p256Order);
      const { signingKey, validToken } = specimen.setting;
      yield { text: specimen.signedAs(derOf(r, s)) };
      if (signingKey === null) return;
      const input = validToken.slice(0, validToken.lastIndexOf('.'));
      yield { text: specimen.signedAs(signWith('sha256', Buffer.from(input), signingKey)) };
      for (const hash of ['sha1', 'sha384', 'sha512']) {
        yield {
          text: specimen.signedAs(
            signWith(hash, Buffer.from(input), { key: signingKey, dsaEncoding: 'ieee-p1363' }),
          ),
        };
      }
    },
  },
  {
    name: 'invalid S and R of Ed25519',
    row: 'T20',
    expected: signatureInvalid,
    *variants(specimen) {
      if (specimen.mode !== 'EdDSA') return;
      const r = specimen.signature.subarray(0, 32);
      const s = toBigInt(Buffer.from(specimen.signature.subarray(32)).reverse());
      for (let times = 1n; s + times * ed25519Order < 2n ** 256n; times++)
        yield ed25519(specimen, r, s + times * ed25519Order);
      for (const edge of [
        0n,
        1n,
        ed25519Order - 1n,
        ed25519Order,
        ed25519Order + 1n,
        2n ** 255n,
        2n ** 256n - 1n,
        ed25519Order - s,
      ]) {
        yield ed25519(specimen, r, edge);
        // The neutral element and the point of order two, in their canonical and non-canonical encodings.
        for (const point of [
          '01',
          'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
          '0100000000000000000000000000000000000000000000000000000000000080',
          'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
        ]) {
          yield ed25519(specimen, Buffer.from(point.padEnd(64, '0'), 'hex'), edge);
        }
      }
      const { signingKey, validToken } = specimen.setting;
      if (signingKey === null) return;
      const digest = createHash('sha512')
        .update(validToken.slice(0, validToken.lastIndexOf('.')))
        .digest();
      yield { text: specimen.signedAs(signWith(null, digest, signingKey)) };
    },
  },
  {
    name: 'numbers outside the range of RSA',
    row: 'T20',
    expected: signatureInvalid,
    *variants(specimen) {
      if (specimen.mode !== 'RS256') return;
      const { signingKey, validToken, jwks } = specimen.setting;
      const { length } = specimen.signature;
      const signature = toBigInt(specimen.signature);
      for (const jwk of jwks.keys as readonly { n: string }[]) {
        const n = toBigInt(Buffer.from(jwk.n, 'base64url'));
        for (const edge of [0n, 1n, n - 1n, n, n + 1n, n - signature, signature + n]) {
          if (edge < 2n ** BigInt(length * 8)) yield { text: specimen.signedAs(toBytes(edge, length)) };
        }
        yield { text: specimen.signedAs(toBytes(signature + n, length + 1)) };
      }
      if (signingKey === null) return;
      const input = Buffer.from(validToken.slice(0, validToken.lastIndexOf('.')));
      for (const hash of ['sha1', 'sha384', 'sha512'])
        yield { text: specimen.signedAs(signWith(hash, input, signingKey)) };
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      for (const saltLength of [0, 32])
        yield {
          text: specimen.signedAs(signWith('sha256', input, { key: signingKey, padding, saltLength })),
        };
      const modulus = createPublicKey(signingKey).export({ format: 'jwk' }).n ?? '';
      yield { text: specimen.signedAs(createHmac('sha256', modulus).update(input).digest()) };
    },
  },
];

/** The other signature with the same ECDSA key, message and r: valid, with another text (T23). */
export function ecdsaTwin(token: string): string {
  const [header, claims, signatureSegment] = token.split('.') as [string, string, string];
  const signature = Buffer.from(signatureSegment, 'base64url');
  const twin = Buffer.concat([
    signature.subarray(0, 32),
    toBytes(p256Order - toBigInt(signature.subarray(32)), 32),
  ]);
  return `${header}.${claims}.${twin.toString('base64url')}`;
}

/** Keys of a program that decodes the shared secret by mistake, or reads it carelessly from a file. */
function sharedSecretMistakes(secret: string): readonly (string | Buffer)[] {
  if (secret === '') return [];
  const mistakes = [
    `${secret}\n`,
    `${secret} `,
    ` ${secret}`,
    `"${secret}"`,
    secret.slice(0, -1),
    secret.toUpperCase(),
    '',
    '\0',
    'secret',
  ];
  const decodings = [
    Buffer.from(secret, 'hex'),
    Buffer.from(secret, 'base64'),
    Buffer.from(secret, 'utf16le'),
  ];
  return [...mistakes, ...decodings].filter((mistake) => !Buffer.from(mistake).equals(Buffer.from(secret)));
}

function ecdsa(specimen: Specimen, r: bigint, s: bigint): Variant {
  return { text: specimen.signedAs(Buffer.concat([toBytes(r, 32), toBytes(s, 32)])) };
}

function ed25519(specimen: Specimen, r: Uint8Array, s: bigint): Variant {
  const bounded = ((s % 2n ** 256n) + 2n ** 256n) % 2n ** 256n;
  return { text: specimen.signedAs(Buffer.concat([r, toBytes(bounded, 32).reverse()])) };
}

function derOf(r: bigint, s: bigint): Buffer {
  const integer = (value: bigint) => {
    const bytes = toBytes(value, 32);
    const padded = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
    return Buffer.concat([Buffer.from([0x02, padded.length]), padded]);
  };
  const body = Buffer.concat([integer(r), integer(s)]);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

function toBigInt(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`);
}

function toBytes(value: bigint, length: number): Buffer {
  return Buffer.from(
    value
      .toString(16)
      .padStart(length * 2, '0')
      .slice(-length * 2),
    'hex',
  );
}
