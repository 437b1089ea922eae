import { beforeEach, describe, expect, test } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { importSharedSecret } from '../../src/tokens/issue/shared-secret-key.ts';
import { VerifiedTokenCache } from '../../src/tokens/verify/verified-token-cache.ts';
import { forge, json, secretKey } from '../security/forge.ts';
import {
  legacySecret,
  sharedSecret,
  startSeconds,
  verifierUnderTest,
  type VerifierUnderTest,
} from '../security/verifier-under-test.ts';

const exp = startSeconds + 1800;
const jwtHeader = json({ alg: 'HS256', typ: 'JWT' });

function legacyToken(claims: object, header = jwtHeader, secret = legacySecret.reveal()): string {
  return forge('HS256', header, json(claims), secretKey(secret));
}

describe('legacy HS256 tokens', () => {
  let subject: VerifierUnderTest;

  beforeEach(async () => {
    const legacyHs256 = { key: importSharedSecret(legacySecret), untilMs: (startSeconds + 3600) * 1000 };
    subject = await verifierUnderTest('ES256', { legacyHs256, cache: new VerifiedTokenCache(1 << 20) });
  });

  async function reasonOf(token: string, requiredAudience?: string): Promise<string> {
    const verdict = await subject.verifier.verify(token, requiredAudience);
    return verdict.ok ? 'accepted' : verdict.refusal.reason;
  }

  test.each([
    [42, '42'],
    [0, '0'],
    [-7, '-7'],
    [9_007_199_254_740_991, '9007199254740991'],
    ['someone@example.org', 'someone@example.org'],
    ['42', '42'],
  ])('accepts user_id %j as the subject', async (userId, expected) => {
    expect(await subject.verifier.verify(legacyToken({ user_id: userId, exp }))).toEqual({
      ok: true,
      claims: {
        subject: expected,
        subjectType: 'user',
        sessionId: null,
        tokenId: null,
        clientId: null,
        externalId: null,
        subjectName: null,
        actor: null,
        acr: null,
        amr: [],
        authenticatedAtSeconds: null,
        credentialKind: 'access-token',
        issuer: null,
        audience: [],
        roles: [],
        issuedAtSeconds: null,
        expiresAtSeconds: exp,
        keyId: null,
      },
    });
  });

  test('accepts both legacy headers, the iat of jsonwebtoken, and white space', async () => {
    expect(await reasonOf(legacyToken({ user_id: 1, exp }, json({ alg: 'HS256' })))).toBe('accepted');
    expect(await reasonOf(legacyToken({ user_id: 1, exp }, json({ typ: 'JWT', alg: 'HS256' })))).toBe(
      'accepted',
    );
    expect(
      await reasonOf(
        jwt.sign({ user_id: 1, iat: startSeconds }, legacySecret.reveal(), { expiresIn: '30m' }),
      ),
    ).toBe('accepted');
    expect(await reasonOf(legacyToken({ user_id: 1, exp: exp + 0.5, name: 'extra', roles: ['admin'] }))).toBe(
      'accepted',
    );
  });

  test('roles in a legacy token are ignored', async () => {
    const verdict = await subject.verifier.verify(
      legacyToken({ user_id: 1, exp, roles: ['admin'], role: 'admin', client_id: 'c', sid: 's', jti: 'j' }),
    );
    expect(verdict).toMatchObject({
      ok: true,
      claims: { roles: [], sessionId: null, clientId: null, tokenId: 'j' },
    });
  });

  test('T16 exp is required, and an expired token is refused', async () => {
    for (const wrong of [undefined, null, '1', 0, -1, String(exp), [exp], 2 ** 40]) {
      expect(await reasonOf(legacyToken({ user_id: 1, exp: wrong }))).toBe('TOKEN_CLAIMS_INVALID');
    }
    const overflow = forge('HS256', jwtHeader, '{"user_id":1,"exp":1e400}', secretKey(legacySecret.utf8()));
    expect(await reasonOf(overflow)).toBe('TOKEN_CLAIMS_INVALID');
    expect(await reasonOf(legacyToken({ user_id: 1, exp: startSeconds - 5 }))).toBe('TOKEN_EXPIRED');
    expect(await reasonOf(legacyToken({ user_id: 1, exp: startSeconds - 4 }))).toBe('accepted');
    expect(await reasonOf(legacyToken({ user_id: 1, exp, nbf: startSeconds + 60 }))).toBe(
      'TOKEN_NOT_YET_VALID',
    );
    expect(await reasonOf(legacyToken({ user_id: 1, exp, iat: startSeconds + 60 }))).toBe(
      'TOKEN_NOT_YET_VALID',
    );
    expect(await reasonOf(legacyToken({ user_id: 1, exp, iat: 'x' }))).toBe('TOKEN_CLAIMS_INVALID');
  });

  test('an ambiguous user_id is refused', async () => {
    const wrong = [
      undefined,
      null,
      true,
      '',
      1.5,
      2 ** 53,
      [1],
      { id: 1 },
      'x'.repeat(257),
      'a\0',
      'a\n',
      '\ud800',
    ];
    for (const userId of wrong)
      expect(await reasonOf(legacyToken({ user_id: userId, exp }))).toBe('TOKEN_CLAIMS_INVALID');
    const minusZero = forge(
      'HS256',
      jwtHeader,
      `{"user_id":-0,"exp":${exp}}`,
      secretKey(legacySecret.utf8()),
    );
    expect(await reasonOf(minusZero)).toBe('TOKEN_CLAIMS_INVALID');
    const twice = forge(
      'HS256',
      jwtHeader,
      `{"user_id":1,"user_id":2,"exp":${exp}}`,
      secretKey(legacySecret.utf8()),
    );
    expect(await reasonOf(twice)).toBe('TOKEN_MALFORMED');
  });

  test('a token with an audience or another issuer is refused', async () => {
    expect(await reasonOf(legacyToken({ user_id: 1, exp, aud: 'postern' }))).toBe('TOKEN_CLAIMS_INVALID');
    expect(await reasonOf(legacyToken({ user_id: 1, exp, iss: 'https://auth.example/realm' }))).toBe(
      'TOKEN_CLAIMS_INVALID',
    );
  });

  test('T03 T04 a header of our own tokens is not taken, and says so', async () => {
    const { kids } = subject.keys.ring;
    for (const [header, reason] of [
      [{ alg: 'HS256', typ: 'JWT', kid: kids[0] }, 'TOKEN_ALG_NOT_ALLOWED'],
      [{ alg: 'HS256', typ: 'at+jwt' }, 'TOKEN_ALG_NOT_ALLOWED'],
      [{ alg: 'HS256', typ: 'jwt' }, 'TOKEN_TYPE_INVALID'],
      [{ alg: 'HS256', typ: 'refresh+jwt' }, 'TOKEN_TYPE_INVALID'],
      [{ alg: 'HS256', typ: '' }, 'TOKEN_TYPE_INVALID'],
      [{ alg: 'none', typ: 'JWT' }, 'TOKEN_ALG_NOT_ALLOWED'],
      [{ alg: 'HS512', typ: 'JWT' }, 'TOKEN_ALG_NOT_ALLOWED'],
      [{ alg: 'hs256', typ: 'JWT' }, 'TOKEN_ALG_NOT_ALLOWED'],
      [{ alg: 'HS256', crit: [] }, 'TOKEN_MALFORMED'],
      [{ alg: 'HS256', kid: '' }, 'TOKEN_MALFORMED'],
    ] as const) {
      expect([header, await reasonOf(legacyToken({ user_id: 1, exp }, json(header)))]).toEqual([
        header,
        reason,
      ]);
    }
  });

  test('T05 a kid of the earlier login is not looked up', async () => {
    const token = legacyToken({ user_id: 1, exp }, json({ alg: 'HS256', kid: '../../key', typ: 'JWT' }));
    expect(await subject.verifier.verify(token)).toMatchObject({ ok: true, claims: { keyId: null } });
  });

  test('T20 a token signed with another secret is refused', async () => {
    const text = legacySecret.reveal();
    for (const secret of [
      `${text}\n`,
      text.slice(1),
      text.toUpperCase(),
      Buffer.from(text, 'hex').toString('latin1'),
      '',
      sharedSecret.reveal(),
    ]) {
      expect(await reasonOf(legacyToken({ user_id: 1, exp }, jwtHeader, secret))).toBe(
        'TOKEN_SIGNATURE_INVALID',
      );
    }
  });

  test('a legacy token is refused when an audience is required', async () => {
    expect(await reasonOf(legacyToken({ user_id: 1, exp }), 'postern')).toBe('TOKEN_CLAIMS_INVALID');
  });

  test('T24 after the legacy period cached tokens are refused as well', async () => {
    const token = legacyToken({ user_id: 1, exp: startSeconds + 86_400 });
    expect(await reasonOf(token)).toBe('accepted');
    subject.clock.seconds += 3599;
    expect(await reasonOf(token)).toBe('accepted');
    subject.clock.seconds += 1;
    for (const late of [token, legacyToken({ user_id: 2, exp: startSeconds + 86_400 })]) {
      expect(await subject.verifier.verify(late)).toMatchObject({
        refusal: { reason: 'TOKEN_ALG_NOT_ALLOWED', detail: expect.stringContaining('has ended') as unknown },
      });
    }
  });
});

test('T03 without the setting every HS256 token is refused', async () => {
  const { verifier } = await verifierUnderTest('ES256');
  expect(await verifier.verify(legacyToken({ user_id: 1, exp }))).toMatchObject({
    refusal: { reason: 'TOKEN_ALG_NOT_ALLOWED' },
  });
});

test('one verifier never has two secrets for HS256', async () => {
  const legacyHs256 = { key: importSharedSecret(legacySecret), untilMs: Infinity };
  await expect(verifierUnderTest('HS256', { legacyHs256 })).rejects.toThrow('either');
});
