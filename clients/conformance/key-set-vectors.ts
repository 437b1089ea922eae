import { generateKeyPairSync } from 'node:crypto';

import { generateSigningKey } from '../../src/tokens/issue/signing-key.ts';
import { type PublicJwk, thumbprintOf } from '../../src/tokens/verify/verification-key.ts';
import { readKeySet } from '../../src/trust/trusted-keys.ts';
import type { KeySetVector } from './vectors.ts';

type Jwk = Readonly<Record<string, unknown>>;

/** 2 to the power 2047 plus something odd: the modulus of the vulnerable generator, a power of 65537 modulo small primes. */
const ROCA_PRIMES = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167]; // prettier-ignore

/** Key sets and the keys of each that a verifier may use. What the TypeScript verifier keeps is checked. */
export async function keySetVectors(): Promise<readonly KeySetVector[]> {
  const [ec, ed, rsa] = await Promise.all(
    (['ES256', 'EdDSA', 'RS256'] as const).map(
      async (algorithm) => (await generateSigningKey(algorithm)).publicJwk,
    ),
  );
  if (!ec || !ed || !rsa) throw new Error('no keys');
  const bad = [...(await badKeys(ec, ed, rsa))];
  const good: readonly { name: string; jwks: string; kids: readonly string[] }[] = [
    { name: 'one key of each algorithm', jwks: set(ec, ed, rsa), kids: kidsOf(ec, ed, rsa) },
    { name: 'RSA of 2048 bits', ...one(await rsaKey(2048, 65537)) },
    { name: 'RSA of 4096 bits', ...one(await rsaKey(4096, 65537)) },
    { name: 'members beside keys', jwks: JSON.stringify({ keys: [ec], extra: { a: [1] } }), kids: [ec.kid] },
    { name: 'a byte order mark', jwks: `\ufeff${set(ec)}`, kids: [] },
    { name: 'white space', jwks: ` \n${JSON.stringify({ keys: [ec] }, null, 2)}\n`, kids: [ec.kid] },
  ];
  const unusable = ['', 'null', '[]', '{}', '"keys"', '{"keys":{}}', '{"keys":null}', '{"keys":[]}', '{"keys":[', set(ec).slice(0, -1)]; // prettier-ignore
  const vectors: KeySetVector[] = [
    ...good,
    ...unusable.map((jwks, index) => ({ name: `no key set #${index + 1}`, jwks, kids: [] })),
    ...bad.map(([name, jwk]) => ({ name: `${name}, alone`, jwks: set(jwk), kids: [] })),
    ...bad.map(([name, jwk]) => ({
      name: `${name}, beside good keys`,
      jwks: set(ed, jwk, ec),
      kids: kidsOf(ec, ed),
    })),
    { name: 'a key twice', jwks: set(ec, ed, ec), kids: [] },
  ];
  for (const { name, jwks, kids } of vectors) {
    const kept = await readKeySet(jwks).then(
      (ring) => ring.kids,
      () => [],
    );
    if (JSON.stringify(kept) !== JSON.stringify(kids)) throw new Error(`${name}: ${JSON.stringify(kept)}`);
  }
  return vectors;
}

async function badKeys(
  ec: PublicJwk,
  ed: PublicJwk,
  rsa: PublicJwk,
): Promise<readonly (readonly [string, unknown])[]> {
  const renamed = async (jwk: Jwk): Promise<Jwk> => ({ ...jwk, kid: await thumbprintOf(jwk as never) });
  const changed = async (name: string, jwk: PublicJwk, changes: Jwk) =>
    [
      `${jwk.alg} with ${name}`,
      await renamed({ ...jwk, ...changes }).catch(() => ({ ...jwk, ...changes })),
    ] as const;
  const kept = (name: string, jwk: PublicJwk, changes: Jwk) =>
    Promise.resolve([`${jwk.alg} with ${name}`, { ...jwk, ...changes }] as const);
  const members = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth', 'key_ops', 'x5c', 'x5u', 'ext', '__proto__x'];
  const everyKey = await Promise.all(
    [ec, ed, rsa].flatMap((jwk) => {
      const first = jwk.alg === 'RS256' ? 'n' : 'x';
      const number = jwk[first] ?? '';
      return [
        ...members.map((member) => kept(`the member ${member}`, jwk, { [member]: 'AQAB' })),
        kept('kid that is no thumbprint', jwk, { kid: 'key-1' }),
        kept('the kid of another key', jwk, { kid: jwk === ec ? ed.kid : ec.kid }),
        kept('kid that is a list', jwk, { kid: [jwk.kid] }),
        kept('use enc', jwk, { use: 'enc' }),
        kept('no use', jwk, { use: undefined }),
        kept('alg none', jwk, { alg: 'none' }),
        kept('alg HS256', jwk, { alg: 'HS256' }),
        kept('alg RS512', jwk, { alg: 'RS512' }),
        kept('no alg', jwk, { alg: undefined }),
        kept('alg in a list', jwk, { alg: [jwk.alg] }),
        kept('alg of another key', jwk, { alg: jwk === ec ? 'EdDSA' : 'ES256' }),
        kept('kty oct', jwk, { kty: 'oct' }),
        changed('crv P-384', jwk, { crv: 'P-384' }),
        kept('crv P-384, and its own kid', jwk, { crv: 'P-384' }),
        kept('an empty crv', jwk, { crv: '' }),
        kept('crv null', jwk, { crv: null }),
        changed('padding', jwk, { [first]: `${number}=` }),
        changed('zeros in front', jwk, { [first]: `AAAA${number}` }),
        changed('bytes at the end', jwk, { [first]: `${number}AAAA` }),
        changed('a foreign character', jwk, { [first]: `${number.slice(0, -1)}+` }),
        changed('a number cut short', jwk, { [first]: number.slice(-40) }),
        changed('an empty number', jwk, { [first]: '' }),
        kept('a number that is a number', jwk, { [first]: 7 }),
      ];
    }),
  );
  const point = Buffer.concat([ec.x, ec.y].map((number = '') => Buffer.from(number, 'base64url')));
  const off = Buffer.from(ec.y ?? '', 'base64url');
  off[31] = (off[31] ?? 0) ^ 1;
  const even = Buffer.from(rsa.n ?? '', 'base64url');
  even[even.length - 1] = (even.at(-1) ?? 0) & 0xfe;
  return [
    ...everyKey,
    await changed('coordinates of 31 and 33 bytes', ec, {
      x: point.subarray(0, 31).toString('base64url'),
      y: point.subarray(31).toString('base64url'),
    }),
    await changed('unused bits in a number', ec, { x: withUnusedBits(ec.x ?? '') }),
    await changed('unused bits in a number', ed, { x: withUnusedBits(ed.x ?? '') }),
    await changed('a point that is not on the curve', ec, { y: off.toString('base64url') }),
    await changed('the point at infinity', ec, { x: zeros(32), y: zeros(32) }),
    await changed('an even modulus', rsa, { n: even.toString('base64url') }),
    await changed('a modulus of a faulty generator (ROCA)', rsa, { n: rocaModulus().toString('base64url') }),
    ['RSA of 1024 bits', await rsaKey(1024, 65537)],
    ['RSA of 2040 bits', await rsaKey(2040, 65537)],
    ['RSA with the exponent 3', await rsaKey(2048, 3)],
    ['RSA of 4104 bits', await renamed({ ...rsa, n: Buffer.alloc(513, 0xff).toString('base64url') })],
    ['null', null],
    ['a number', 1],
    ['a text', 'x'],
    ['a list', [ec]],
  ];
}

async function rsaKey(modulusLength: number, publicExponent: number): Promise<PublicJwk> {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength, publicExponent });
  const jwk = { ...publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' } as unknown as PublicJwk;
  return { ...jwk, kid: await thumbprintOf(jwk) };
}

/** An odd number of 2048 bits that is 1, a power of 65537, modulo every prime that the faulty generator uses. */
function rocaModulus(): Buffer {
  const product = ROCA_PRIMES.reduce((all, prime) => all * BigInt(prime), 2n);
  const number = ((1n << 2047n) / product + 1n) * product + 1n;
  return Buffer.from(number.toString(16), 'hex');
}

/** The text of 32 bytes with a bit set that base64 decoders drop: the last character has two of them. */
const withUnusedBits = (text: string) =>
  text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1);
const zeros = (length: number) => Buffer.alloc(length).toString('base64url');
const set = (...keys: readonly unknown[]) => JSON.stringify({ keys });
const kidsOf = (...keys: readonly PublicJwk[]) => keys.map(({ kid }) => kid).sort();
const one = (key: PublicJwk) => ({ jwks: set(key), kids: [key.kid] });
