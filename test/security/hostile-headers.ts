import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto';
import {
  encode,
  forge,
  json,
  secretKey,
  type JsonRecord,
  type Segment,
  type Specimen,
  type TokenMode,
} from './forge.ts';
import type { HostileClass } from './hostile-tokens.ts';

const malformed = ['TOKEN_MALFORMED'] as const;
const algNotAllowed = ['TOKEN_ALG_NOT_ALLOWED'] as const;

// prettier-ignore
const foreignAlgorithms = [
  'none', 'None', 'NONE', 'noNE', 'nOnE', 'none ', ' none', 'none\0', 'n\u043ene', '', ' ', 'HS384', 'HS512', 'hs256', 'Hs256',
  'HS256 ', 'HS1', 'HS-256', 'HMACSHA256', 'ES384', 'ES512', 'ES256K', 'es256', 'Es256', 'ES256 ', '\u212aES256', 'RS1', 'RS384',
  'RS512', 'rs256', 'PS256', 'PS384', 'PS512', 'Ed25519', 'Ed448', 'eddsa', 'EDDSA', 'ML-DSA-44', 'dir', 'A128KW', 'RSA1_5',
  'RSA-OAEP', 'PBES2-HS256+A128KW', 'ECDH-ES', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'null', 'undefined', '*',
];
const notStrings = [null, 0, 1, true, false, [], {}, ['ES256'], { alg: 'ES256' }, 1e308];

// prettier-ignore
const foreignKids = [
  ' ', '0', '1', '*', '%', '_', '.', '..', '../', '../../../../../../dev/null', '/dev/null', '/etc/passwd', 'C:\\key.pem',
  'file:///dev/null', 'http://127.0.0.1:1/jwks.json', 'https://attacker.example/key', '//attacker.example', 'data:,x', 'key.pem',
  "' OR '1'='1", "x' UNION SELECT 'secret'--", '"; DROP TABLE keys;--', '${jndi:ldap://attacker.example}', '{{7*7}}', '$(id)', '`id`',
  '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'null', 'undefined', 'NaN',
  '\0', '\r\nx: y', '\u202e', '\ud800', '\u{1f511}', 'x'.repeat(128),
];

/** Attacks by the header: another algorithm, another key, a key in the token itself. */
export const headerClasses: readonly HostileClass[] = [
  {
    name: 'an algorithm outside the closed list',
    row: 'T03',
    expected: algNotAllowed,
    *variants(specimen) {
      for (const alg of foreignAlgorithms) yield { header: specimen.headerWith({ alg }) };
      for (const alg of ['none', 'NONE', 'HS384', 'ES384', 'PS256']) {
        yield { header: json({ alg }) };
        yield { header: json({ alg, typ: 'JWT' }) };
        yield { header: json({ typ: 'at+jwt', alg }) };
      }
      for (const signature of [[0], [0, 0], Buffer.alloc(64), Buffer.from('none')]) {
        const header = encode(specimen.headerWith({ alg: 'none' }));
        yield { text: `${header}.${specimen.claimsSegment}.${encode(Buffer.from(signature))}` };
      }
    },
  },
  {
    name: 'the algorithm of another key type',
    row: 'T03',
    expected: algNotAllowed,
    *variants(specimen) {
      const others = (['ES256', 'RS256', 'EdDSA', 'HS256'] as const).filter((alg) => alg !== specimen.mode);
      for (const alg of others) {
        const key = alg === 'HS256' ? secretKey('a secret of the attacker, long enough') : attackerKey(alg);
        yield { header: specimen.headerWith({ alg }) };
        yield { text: forge(alg, specimen.headerWith({ alg }), json(specimen.claims), key) };
      }
    },
  },
  {
    name: 'an algorithm that is not a string, or is missing',
    row: 'T03',
    expected: malformed,
    *variants(specimen) {
      for (const alg of notStrings) yield { header: specimen.headerWith({ alg }) };
      yield { header: specimen.headerWith({ alg: undefined }) };
      yield { header: '{}' };
      yield { header: '{"ALG":"ES256","Kid":"x","TYP":"at+jwt"}' };
      yield { text: `${encode(specimen.headerWith({ alg: 'none' }))}.${specimen.claimsSegment}.` };
    },
  },
  {
    name: 'an HMAC with public material',
    row: 'T04',
    expected: algNotAllowed,
    *variants(specimen) {
      // In HS256 mode the secret is the key; a wrong secret is among the signatures.
      if (specimen.mode === 'HS256') return;
      for (const material of publicMaterial(specimen)) {
        for (const [alg, hash] of [
          ['HS256', 'sha256'],
          ['HS384', 'sha384'],
          ['HS512', 'sha512'],
          ['hs256', 'sha256'],
        ] as const) {
          for (const header of [specimen.headerWith({ alg }), json({ alg, typ: 'JWT' })]) {
            const input = `${encode(header)}.${specimen.claimsSegment}`;
            yield { text: `${input}.${createHmac(hash, material).update(input).digest('base64url')}` };
          }
        }
      }
    },
  },
  {
    name: 'an unpublished kid',
    row: 'T05',
    expected: ['TOKEN_KEY_UNKNOWN'],
    *variants(specimen) {
      for (const kid of foreignKids) yield { header: specimen.headerWith({ kid }) };
      const { kid } = specimen.header;
      if (typeof kid !== 'string') return;
      const near = [
        `${kid} `,
        ` ${kid}`,
        `${kid}\0`,
        `${kid}=`,
        kid.slice(0, -1),
        kid.slice(1),
        kid.toUpperCase(),
        kid.toLowerCase(),
        `./${kid}`,
        `${kid}#0`,
        encodeURIComponent(`${kid}/`),
      ];
      for (const other of near) yield { header: specimen.headerWith({ kid: other }) };
      for (const other of ['x', kid.slice(0, 20)]) {
        yield {
          text: forge(
            specimen.mode,
            specimen.headerWith({ kid: other }),
            json(specimen.claims),
            attackerKey(specimen.mode),
          ),
        };
      }
    },
  },
  {
    name: 'a kid of the wrong form',
    row: 'T05',
    expected: malformed,
    *variants(specimen) {
      const { kid } = specimen.header;
      for (const wrong of ['', 'x'.repeat(129), 'x'.repeat(4000), ...notStrings, [kid], { kid }])
        yield { header: specimen.headerWith({ kid: wrong }) };
      if (kid !== undefined) yield { header: specimen.headerWith({ kid: undefined }) };
    },
  },
  {
    name: 'a key in the token itself',
    row: 'T06',
    expected: malformed,
    *variants(specimen) {
      const key = attackerKey(specimen.mode);
      const jwk =
        key.type === 'secret' ? { kty: 'oct', k: 'AAAA' } : createPublicKey(key).export({ format: 'jwk' });
      const url = 'http://127.0.0.1:1/jwks.json';
      const carriers = [
        { jwk },
        { jku: url },
        { x5u: url },
        { x5c: ['MIIB'] },
        { x5t: 'AAAA' },
        { 'x5t#S256': 'AAAA' },
        { key: jwk },
        { keys: [jwk] },
        { jwk: { ...jwk, kid: specimen.header.kid } },
        { jwk, jku: url, kid: 'x' },
      ];
      for (const carrier of carriers) {
        yield { header: specimen.headerWith(carrier) };
        yield { text: forge(specimen.mode, specimen.headerWith(carrier), json(specimen.claims), key) };
        yield {
          text: forge(specimen.mode, json({ alg: specimen.mode, ...carrier }), json(specimen.claims), key),
        };
      }
    },
  },
  {
    name: 'a header member that changes the meaning',
    row: 'T07',
    expected: malformed,
    *variants(specimen) {
      const extras: readonly JsonRecord[] = [
        { crit: [] }, { crit: ['exp'] }, { crit: ['b64'], b64: false }, { crit: ['alg'] }, { crit: 'b64' }, { crit: null }, { b64: false },
        { b64: true }, { zip: 'DEF' }, { enc: 'A256GCM' }, { enc: '' }, { cty: 'JWT' }, { epk: {} }, { p2c: 1 }, { iv: '' }, { tag: '' },
        { nonce: 'x' }, { url: 'x' }, { exp: 1 }, { iss: 'x' }, { sub: 'x' }, { __proto__x: 1 }, { constructor: 1 }, { '': '' }, { x: null },
        { 'alg ': 'none' }, { Alg: 'none' }, { 'kid\0': 'x' }, { TYP: 'at+jwt' }, { 'al\u0261': 'none' },
      ]; // prettier-ignore
      for (const extra of extras) yield { header: specimen.headerWith(extra) };
      const plain = json(specimen.header).slice(1, -1);
      for (const member of [
        '"__proto__":{}',
        '"__proto__":null',
        '"constructor":{"prototype":{}}',
        '"\\u0063rit":["exp"]',
      ]) {
        yield { header: `{${plain},${member}}` };
        yield { header: `{${member},${plain}}` };
      }
    },
  },
  {
    name: 'a token of another type',
    row: 'T12',
    expected: ['TOKEN_TYPE_INVALID'],
    *variants(specimen) {
      // prettier-ignore
      const types = ['', ' ', 'at', 'AT', 'at-jwt', 'at jwt', 'atjwt', 'at+jwt ', ' at+jwt', 'at+jwt\0', 'at+jwt;v=1', 'at%2Bjwt', 'at+JWS',
        'id+jwt', 'rt+jwt', 'refresh+jwt', 'logout+jwt', 'dpop+jwt', 'secevent+jwt', 'token-introspection+jwt', 'jose', 'JOSE+JSON', 'JWE',
        'text/at+jwt', 'application/', 'application/application/at+jwt', '/at+jwt', 'application\\at+jwt', 'a\u0442+jwt', 'at+j\u0435wt', '*/*'];
      for (const typ of types) yield { header: specimen.headerWith({ typ }) };
      yield { header: specimen.headerWith({ typ: undefined }) };
      if (specimen.mode === 'HS256') return;
      for (const typ of ['JWT', 'jwt', 'application/jwt']) yield { header: specimen.headerWith({ typ }) };
    },
  },
  {
    name: 'a type that is not a string',
    row: 'T12',
    expected: malformed,
    *variants(specimen) {
      for (const typ of [...notStrings, ['at+jwt'], { typ: 'at+jwt' }])
        yield { header: specimen.headerWith({ typ }) };
    },
  },
];

const attackerKeys = new Map<TokenMode, KeyObject>();

/** A key of the attacker, of the type that the mode signs with. */
export function attackerKey(mode: TokenMode): KeyObject {
  const made = attackerKeys.get(mode) ?? makeKey(mode);
  attackerKeys.set(mode, made);
  return made;
}

function makeKey(mode: TokenMode): KeyObject {
  switch (mode) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    case 'RS256':
      return generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey;
    case 'EdDSA':
      return generateKeyPairSync('ed25519').privateKey;
    case 'HS256':
      return secretKey('a secret of the attacker, long enough');
  }
}

/** Everything that an attacker with only the public key could use as a secret. */
function* publicMaterial(specimen: Specimen): Generator<Segment, void, undefined> {
  yield '';
  yield '\0';
  for (const jwk of specimen.setting.jwks.keys as readonly JsonWebKey[]) {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    const pems = [key.export({ type: 'spki', format: 'pem' })];
    if (jwk.kty === 'RSA') pems.push(key.export({ type: 'pkcs1', format: 'pem' }));
    for (const pem of pems.map(String)) {
      yield* [pem, pem.trimEnd(), pem.replaceAll('\n', '\r\n'), pem.replaceAll('\n', '\\n'), `${pem}\0`];
      yield pem.replace(/-----[^-]+-----/g, '').replaceAll('\n', '');
      yield pem.replace(/-----[^-]+-----/g, '').trim();
    }
    const der = key.export({ type: 'spki', format: 'der' });
    yield* [
      der,
      der.toString('base64'),
      der.toString('base64url'),
      der.toString('hex'),
      der.subarray(-65),
      der.subarray(-64),
      der.subarray(-32),
    ];
    const { kid, alg, use, ...bare } = jwk as Record<string, string>;
    for (const form of [
      jwk,
      bare,
      { ...bare, kid },
      { ...bare, kid, alg },
      { ...bare, use },
      { keys: [jwk] },
    ]) {
      yield json(form);
      yield JSON.stringify(form, null, 2);
    }
    for (const number of Object.values(bare)) yield* [number, Buffer.from(number, 'base64url')];
    yield kid ?? '';
  }
  yield json(specimen.setting.jwks);
}
