import { describe, expect, test } from '@jest/globals';
import { createKeyRing } from '../../src/tokens/verify/key-ring.ts';
import { VerifiedTokenCache } from '../../src/tokens/verify/verified-token-cache.ts';
import { forge, json, Specimen } from '../security/forge.ts';
import { validTokens } from '../security/valid-tokens.ts';
import { verifierUnderTest, type VerifierUnderTest } from '../security/verifier-under-test.ts';

function withCache() {
  return verifierUnderTest('ES256', { cache: new VerifiedTokenCache(1 << 20) });
}

/** Counts how often a signature is computed with the one published key. */
function countUses({ keys }: VerifierUnderTest): { count: number } {
  const uses = { count: 0 };
  const [kid = ''] = keys.ring.kids;
  const published = keys.ring.find(kid);
  if (published === undefined) throw new Error('no key is published');
  const { key } = published;
  const counted = Object.defineProperty({ ...published }, 'key', {
    get: () => {
      uses.count++;
      return key;
    },
  });
  keys.ring = createKeyRing([counted]);
  return uses;
}

describe('T24 a cached token', () => {
  test('is answered at once, with the same claims', async () => {
    const { verifier, issue } = await withCache();
    const token = await issue();
    const first = verifier.verify(token);
    expect(first).toBeInstanceOf(Promise);
    const again = verifier.verify(token);
    expect(await first).toMatchObject({ ok: true });
    const remembered = verifier.verify(token);
    expect(remembered).toBe(await first);
    expect(await again).toBe(await first);
  });

  test('expires to the second', async () => {
    const { verifier, issue, clock } = await withCache();
    const token = await issue();
    expect((await verifier.verify(token)).ok).toBe(true);
    clock.seconds += 604.9;
    expect((await verifier.verify(token)).ok).toBe(true);
    clock.seconds += 0.1;
    expect(await verifier.verify(token)).toMatchObject({ ok: false, refusal: { reason: 'TOKEN_EXPIRED' } });
  });

  test.each(['sid', 'jti', 'kid'] as const)('is refused once its %s is revoked', async (kind) => {
    const { verifier, issue, revocations, signer } = await withCache();
    const ids = { sid: '0197a1b2-0000-7000-8000-00000000000a', jti: 'a-token', kid: signer.kid ?? '' };
    const token = await issue({ sessionId: ids.sid, tokenId: ids.jti });
    expect((await verifier.verify(token)).ok).toBe(true);
    revocations.add(kind, ids[kind], Infinity);
    for (let tries = 0; tries < 3; tries++) {
      expect(await verifier.verify(token)).toMatchObject({ ok: false, refusal: { reason: 'TOKEN_REVOKED' } });
    }
  });

  test('K09 is refused once its key is no longer published', async () => {
    const { verifier, issue, keys } = await withCache();
    const token = await issue();
    const published = keys.ring;
    expect((await verifier.verify(token)).ok).toBe(true);
    keys.ring = createKeyRing([]);
    expect(await verifier.verify(token)).toMatchObject({ refusal: { reason: 'TOKEN_KEY_UNKNOWN' } });
    keys.ring = published;
    expect((await verifier.verify(token)).ok).toBe(true);
  });

  test('is verified again under another policy', async () => {
    const policies = [
      {
        issuer: 'https://auth.example/realm',
        audiences: ['postern'],
        maxLifetimeSeconds: 600,
        skewSeconds: 5,
      },
      {
        issuer: 'https://auth.example/realm',
        audiences: ['elsewhere'],
        maxLifetimeSeconds: 600,
        skewSeconds: 5,
      },
    ] as const;
    let current: (typeof policies)[number] = policies[0];
    const { verifier, issue } = await verifierUnderTest('ES256', {
      cache: new VerifiedTokenCache(1 << 20),
      policy: () => current,
    });
    const token = await issue();
    expect((await verifier.verify(token)).ok).toBe(true);
    current = policies[1];
    expect(await verifier.verify(token)).toMatchObject({ refusal: { reason: 'TOKEN_CLAIMS_INVALID' } });
  });

  test('does not share its verdict with a token of the same payload or the same id', async () => {
    const { verifier, issue, setting } = await withCache();
    const token = await issue({ tokenId: 'same' });
    expect((await verifier.verify(token)).ok).toBe(true);
    const [header = '', claims = ''] = token.split('.');
    const forged = `${header}.${claims}.${Buffer.alloc(64, 7).toString('base64url')}`;
    expect(await verifier.verify(forged)).toMatchObject({ refusal: { reason: 'TOKEN_SIGNATURE_INVALID' } });
    const specimen = new Specimen(await setting());
    const admin = specimen.claimsWith({ jti: 'same', roles: ['admin'] });
    expect(
      (
        await verifier.verify(
          `${header}.${Buffer.from(admin).toString('base64url')}.${token.split('.')[2] ?? ''}`,
        )
      ).ok,
    ).toBe(false);
  });

  test('is checked for the required audience each time', async () => {
    const { verifier, issue } = await withCache();
    const token = await issue();
    for (let tries = 0; tries < 2; tries++) {
      expect((await verifier.verify(token, 'postern')).ok).toBe(true);
      expect(await verifier.verify(token, 'billing')).toMatchObject({
        refusal: { reason: 'TOKEN_CLAIMS_INVALID' },
      });
      expect((await verifier.verify(token, '')).ok).toBe(false);
      expect((await verifier.verify(token)).ok).toBe(true);
    }
  });

  test('has claims that a caller cannot change', async () => {
    const { verifier, issue } = await withCache();
    const verdict = await verifier.verify(await issue());
    if (!verdict.ok) throw new Error(verdict.refusal.detail);
    expect(() => Object.assign(verdict.claims, { subject: 'admin' })).toThrow(TypeError);
    expect(() => (verdict.claims.roles as string[]).push('admin')).toThrow(TypeError);
    expect(() => (verdict.claims.audience as string[]).push('billing')).toThrow(TypeError);
    expect(() => Object.assign(verdict, { ok: false })).toThrow(TypeError);
  });
});

describe('T24 what is not cached', () => {
  test('junk, forgeries and expired tokens leave the cache as it is', async () => {
    const cache = new VerifiedTokenCache(1 << 20);
    const { verifier, issue, clock } = await verifierUnderTest('ES256', { cache });
    const late = await issue({ issuedAtSeconds: clock.seconds - 1000 });
    for (let number = 0; number < 500; number++) {
      const [header = '', claims = ''] = late.split('.');
      await verifier.verify(`${header}.${claims}.${Buffer.alloc(64, number % 256).toString('base64url')}`);
      await verifier.verify(`junk-${number}.x.y`);
    }
    expect(await verifier.verify(late)).toMatchObject({ refusal: { reason: 'TOKEN_EXPIRED' } });
    expect([cache.size, cache.bytes]).toEqual([0, 0]);
  });

  test('without a cache every call verifies the token', async () => {
    const { verifier, issue } = await verifierUnderTest('ES256');
    const token = await issue();
    await verifier.verify(token);
    expect(verifier.verify(token)).toBeInstanceOf(Promise);
  });
});

describe('one token presented concurrently by many callers', () => {
  test('is verified once, and each caller gets its own answer', async () => {
    const subject = await withCache();
    const { verifier, issue } = subject;
    const token = await issue();
    const uses = countUses(subject);
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, index) =>
        verifier.verify(token, index % 2 === 0 ? 'postern' : 'billing'),
      ),
    );
    expect(uses.count).toBe(1);
    expect(answers.map(({ ok }) => ok)).toEqual(answers.map((_, index) => index % 2 === 0));
  });

  test('a revocation during the verification applies to all of them', async () => {
    const { verifier, issue, revocations } = await withCache();
    const token = await issue({ tokenId: 'going' });
    const answers = Array.from({ length: 10 }, async () => verifier.verify(token));
    revocations.add('jti', 'going', Infinity);
    for (const answer of await Promise.all(answers)) {
      expect(answer).toMatchObject({ refusal: { reason: 'TOKEN_REVOKED' } });
    }
  });

  test('is verified beyond the limit of shared verifications', async () => {
    const { verifier, setting } = await verifierUnderTest('HS256');
    const specimen = new Specimen(await setting());
    const { signingKey } = specimen.setting;
    if (signingKey === null) throw new Error('the test has the key');
    const tokens = Array.from({ length: 4200 }, (_, number) =>
      forge('HS256', json(specimen.header), specimen.claimsWith({ jti: `t-${number}` }), signingKey),
    );
    const answers = await Promise.all([...tokens, ...tokens].map(async (token) => verifier.verify(token)));
    expect(answers.every(({ ok }) => ok)).toBe(true);
  });
});

describe('the order of refusals', () => {
  test('form and header are checked before any signature is computed', async () => {
    const subject = await verifierUnderTest('ES256');
    const { verifier, setting } = subject;
    const specimen = new Specimen(await setting());
    const uses = countUses(subject);
    for (const change of [{ alg: 'none' }, { kid: 'x' }, { typ: 'JWT' }, { crit: ['exp'] }, { jwk: {} }]) {
      const header = Buffer.from(specimen.headerWith(change)).toString('base64url');
      expect(
        verifier.verify(`${header}.${specimen.claimsSegment}.${specimen.signatureSegment}`),
      ).toMatchObject({ ok: false });
    }
    expect(verifier.verify(specimen.signedAs(specimen.signature.subarray(1)))).toMatchObject({ ok: false });
    expect(uses.count).toBe(0);
    expect((await verifier.verify(specimen.signedAs(specimen.signature))).ok).toBe(true);
    expect(uses.count).toBe(1);
  });

  test('the refusal of a wrong signature does not reveal that the token has expired', async () => {
    const { verifier, issue, clock } = await verifierUnderTest('ES256');
    const token = await issue({ issuedAtSeconds: clock.seconds - 5000 });
    expect(await verifier.verify(`${token.slice(0, -4)}AAAA`)).toMatchObject({
      refusal: { reason: 'TOKEN_SIGNATURE_INVALID' },
    });
    expect(await verifier.verify(token)).toMatchObject({ refusal: { reason: 'TOKEN_EXPIRED' } });
  });
});

describe('the cache', () => {
  const policy = { issuer: 'i', audiences: ['a'], maxLifetimeSeconds: 1, skewSeconds: 5 };
  const claims = Object.freeze({
    subject: 's', subjectType: 'user', sessionId: null, tokenId: null, clientId: null,
      externalId: null, subjectName: null, actor: null, credentialKind: 'access-token', issuer: 'i', audience: ['a'], roles: [],
    acr: null, amr: [], authenticatedAtSeconds: null, issuedAtSeconds: 1, expiresAtSeconds: 2, keyId: 'k',
  } as const); // prettier-ignore
  const remembered = {
    verdict: { ok: true, claims },
    policy,
    refusedFromMs: Infinity,
    trustedRevision: undefined,
  } as const;

  test('T24 never exceeds its size in bytes, and drops the least recently used entry', () => {
    const cache = new VerifiedTokenCache(10_000);
    for (let number = 0; number < 1000; number++) {
      cache.set(`token-${number}`.padStart(100, 'x'), remembered);
      cache.get('token-0'.padStart(100, 'x'));
      expect(cache.bytes).toBeLessThanOrEqual(10_000);
    }
    expect(cache.size).toBe(Math.floor(10_000 / (cache.bytes / cache.size)));
    expect(cache.get('token-0'.padStart(100, 'x'))).toBe(remembered);
    expect(cache.get('token-999'.padStart(100, 'x'))).toBe(remembered);
    expect(cache.get('token-1'.padStart(100, 'x'))).toBeUndefined();
    expect(cache.get('token-980'.padStart(100, 'x'))).toBeUndefined();
  });

  test('T24 an entry set twice counts once, and a removed one not at all', () => {
    const cache = new VerifiedTokenCache(10_000);
    cache.set('a', remembered);
    const one = cache.bytes;
    cache.set('a', remembered);
    expect([cache.size, cache.bytes]).toEqual([1, one]);
    cache.set('b', remembered);
    cache.set('c', remembered);
    cache.delete('b');
    cache.delete('a');
    cache.delete('nothing');
    expect([cache.size, cache.bytes]).toEqual([1, one]);
    cache.delete('c');
    expect([cache.size, cache.bytes]).toEqual([0, 0]);
    cache.set('a', remembered);
    expect(cache.get('a')).toBe(remembered);
  });

  test('with a size of zero keeps nothing', async () => {
    const cache = new VerifiedTokenCache(0);
    const { verifier, issue } = await verifierUnderTest('ES256', { cache });
    const token = await issue();
    expect((await verifier.verify(token)).ok).toBe(true);
    expect(cache.size).toBe(0);
  });

  test('gives valid tokens the same answers as a verifier without a cache', async () => {
    const { verifier, setting } = await withCache();
    for (const { token } of validTokens(await setting())) {
      const first = await verifier.verify(token);
      expect(await verifier.verify(token)).toEqual(first);
      expect(first.ok).toBe(true);
    }
  });
});
