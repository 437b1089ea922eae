import { createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { splitCompactJws } from '../../src/tokens/verify/compact-jws.ts';
import { checkFormat, readHeader } from '../../src/tokens/verify/token-format.ts';
import { isSigningAlgorithm } from '../../src/tokens/signing-algorithm.ts';
import {
  importVerificationKey,
  KeyRefused,
  thumbprintOf,
  type PublicJwk,
} from '../../src/tokens/verify/verification-key.ts';
import { signatureMatches, type SignatureKey } from '../../src/tokens/verify/verify-signature.ts';

type Jwk = Readonly<Record<string, string>>;
type KeyOrSet = Jwk | { readonly keys: readonly Jwk[] };

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
  readonly jws?: string | object;
  readonly jwe?: string | object;
}

interface Group {
  readonly comment: string;
  readonly private?: KeyOrSet;
  readonly public?: KeyOrSet;
  readonly tests: readonly Vector[];
}

const folder = process.env.WYCHEPROOF_DIR;

if (folder === undefined) {
  // A clone of the project does not contain the vectors.
  process.stderr.write(
    '\n*** The Wycheproof vectors are NOT tested: set WYCHEPROOF_DIR to their folder. ***\n\n',
  );
  test('T22 the Wycheproof vectors are not tested: WYCHEPROOF_DIR is not set', () => {
    expect(folder).toBeUndefined();
  });
} else {
  testVectors(folder);
}

function testVectors(from: string): void {
  const read = (name: string) =>
    (JSON.parse(readFileSync(join(from, name), 'utf8')) as { testGroups: readonly Group[] }).testGroups;
  /** Byte-identical to the valid vector 357. */
  const defective = [367, 370];
  /** Valid for Wycheproof; an empty payload (259), and stray characters that its decoder skips, are nothing that Postern issues. */
  const refusedOnPurpose = [259, 372, 373];

  test('X06 T22 no invalid signature vector is accepted, and the valid ones of our algorithms are', async () => {
    const groups = read('json_web_signature_test.json');
    const verdicts = await evaluate(groups);
    expect(verdicts.size).toBeGreaterThan(390);
    const invalid = groups
      .flatMap((group) => group.tests)
      .filter(({ result, tcId }) => result === 'invalid' && !defective.includes(tcId));
    expect(invalid.filter(({ tcId }) => verdicts.get(tcId) !== false)).toEqual([]);
    const ours = groups
      .flatMap((group) => group.tests)
      .filter(
        ({ result, jws, tcId }) => result === 'valid' && isOurs(jws) && !refusedOnPurpose.includes(tcId),
      );
    expect(ours.length).toBeGreaterThanOrEqual(10);
    expect(ours.filter(({ tcId }) => verdicts.get(tcId) !== true)).toEqual([]);
  });

  test('T22 T01 the format guard alone passes exactly the expected base64 vectors', () => {
    const base64 = read('json_web_signature_test.json').filter(({ comment }) => comment === 'base64');
    const passed = base64.flatMap((group) => group.tests).filter(({ jws }) => passesFormatCheck(jws));
    const good = [357, 358, 359, ...defective, 376, 377];
    expect(passed.map(({ tcId }) => tcId)).toEqual(good);
  });

  test('T22 no invalid key vector is accepted', async () => {
    const groups = read('json_web_key_test.json');
    const verdicts = await evaluate(groups);
    expect(verdicts.size).toBe(26);
    const invalid = groups.flatMap((group) => group.tests).filter(({ result }) => result === 'invalid');
    expect(invalid.filter(({ tcId }) => verdicts.get(tcId) !== false)).toEqual([]);
  });

  test('T22 T08 no encrypted or signed vector of the crypto file is a token', () => {
    const vectors = read('json_web_crypto_test.json').flatMap((group) => group.tests);
    const accepted = vectors.filter(({ jwe, jws }) => checkFormat(textOf(jwe ?? jws)).ok);
    expect(vectors.length).toBeGreaterThan(70);
    expect(accepted).toEqual([]);
  });
}

async function evaluate(groups: readonly Group[]): Promise<ReadonlyMap<number, boolean>> {
  const verdicts = new Map<number, boolean>();
  for (const group of groups) {
    const provided = group.public ?? group.private ?? { keys: [] };
    const keys =
      'keys' in provided && Array.isArray(provided.keys)
        ? (provided.keys as readonly Jwk[])
        : [provided as Jwk];
    for (const { tcId, jws } of group.tests) verdicts.set(tcId, await isAccepted(textOf(jws), keys));
  }
  return verdicts;
}

/** The steps of Postern in their order, without the claims: the vectors sign plain texts under kids of their own. */
async function isAccepted(jws: string, keys: readonly Jwk[]): Promise<boolean> {
  const form = splitCompactJws(jws);
  if (!form.ok) return false;
  const header = readHeader(form.header);
  if (!header.ok) return false;
  const { alg, kid } = header.header;
  if (!isSigningAlgorithm(alg) && alg !== 'HS256') return false;
  // A verifier has a public set or one shared secret, never both, and a kid occurs once in a set.
  const secrets = keys.filter(({ kty }) => kty === 'oct').length;
  if (secrets > 0 && keys.length > 1) return false;
  if (new Set(keys.map((jwk) => jwk.kid)).size < keys.length) return false;
  const jwk = keys.find((each) => each.kid === kid);
  const key = jwk === undefined ? null : await importKey(jwk);
  return key !== null && key.algorithm === alg && signatureMatches(jws, key);
}

async function importKey(jwk: Jwk): Promise<SignatureKey | null> {
  if (jwk.kty === 'oct') {
    const secret = Buffer.from(jwk.k ?? '', 'base64url');
    if (jwk.alg !== 'HS256' || jwk.use !== 'sig' || secret.length < 32) return null;
    return { algorithm: 'HS256', key: createSecretKey(secret) };
  }
  try {
    // A published key of ours always has its thumbprint as kid, and no member for another use.
    const { key_ops: operations, ...others } = jwk;
    if (operations !== undefined && !operations.includes('verify')) return null;
    const kid = await thumbprintOf(jwk as unknown as PublicJwk).catch(() => '');
    return await importVerificationKey({ use: 'sig', ...others, kid });
  } catch (error) {
    if (error instanceof KeyRefused) return null;
    throw error;
  }
}

function passesFormatCheck(jws: unknown): boolean {
  const form = splitCompactJws(textOf(jws));
  return form.ok && readHeader(form.header).ok;
}

function isOurs(jws: unknown): boolean {
  const [header = ''] = textOf(jws).split('.');
  return /"(ES256|RS256|EdDSA|HS256)"/.test(Buffer.from(header, 'base64url').toString());
}

function textOf(token: unknown): string {
  return typeof token === 'string' ? token : JSON.stringify(token ?? '');
}
