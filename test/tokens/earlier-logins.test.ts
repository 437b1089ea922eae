import { describe, expect, test } from '@jest/globals';

import type { LegacyClaimsPolicy } from '../../src/domain/claims/legacy-claims.ts';
import type { TokenVerdict } from '../../src/tokens/verify/token-verifier.ts';
import { importSharedSecret } from '../../src/tokens/issue/shared-secret-key.ts';
import { forge, json, secretKey } from '../security/forge.ts';
import { legacySecret, verifierUnderTest, type VerifierUnderTest } from '../security/verifier-under-test.ts';
import { signedSeconds, tokensOfEarlierLogins as tokens } from './earlier-login-tokens.ts';

const exp = signedSeconds + 600;
const loginUrl = 'https://old.example/api/auth/login';
const refreshUrl = 'https://old.example/api/auth/refresh';

/** jwt-auth is to be had from Packagist only: its header and claims as its documentation has them. */
const laravel = sign(
  {
    iss: loginUrl,
    iat: signedSeconds,
    exp,
    nbf: signedSeconds,
    jti: 'x3f8Jm2vQe6sYb0K',
    sub: '1',
    prv: '23bd5c8949f600adb39e701c400872db7a5976f7',
  },
  { typ: 'JWT', alg: 'HS256' },
);

function sign(claims: object, header: object = { alg: 'HS256', typ: 'JWT' }): string {
  return forge('HS256', json(header), json(claims), secretKey(legacySecret.utf8()));
}

async function serviceFor(legacy: Partial<LegacyClaimsPolicy>): Promise<VerifierUnderTest> {
  const subject = await verifierUnderTest('ES256', {
    legacyHs256: { key: importSharedSecret(legacySecret), untilMs: Infinity },
  });
  const defaults = { subjectClaims: ['user_id', 'sub'], issuers: null, audiences: null };
  Object.assign(subject.policy, { legacy: { ...defaults, ...legacy } });
  subject.clock.seconds = signedSeconds;
  return subject;
}

async function verdictOf(token: string, legacy: Partial<LegacyClaimsPolicy> = {}): Promise<TokenVerdict> {
  return (await serviceFor(legacy)).verifier.verify(token);
}

async function faultOf(token: string, legacy: Partial<LegacyClaimsPolicy> = {}): Promise<string> {
  const verdict = await verdictOf(token, legacy);
  return verdict.ok ? 'accepted' : `${verdict.refusal.reason}: ${verdict.refusal.detail}`;
}

const supabase = { issuers: ['https://project.supabase.co/auth/v1'], audiences: ['authenticated'] };

describe('T27 a user who logged in before the move stays logged in', () => {
  test.each<[string, string, Partial<LegacyClaimsPolicy>, string]>([
    ['NestJS', tokens.nestJs, {}, '1'],
    ['NestJS with the user in id', tokens.nestJsWithId, { subjectClaims: ['id'] }, '1'],
    ['FastAPI', tokens.fastApi, {}, 'johndoe'],
    [
      'fastapi-users',
      tokens.fastApiUsers,
      { audiences: ['fastapi-users:auth'] },
      '7d0a2e0e-5f0f-4b54-9a63-0a6a3b7a5d11',
    ],
    ['Flask-JWT-Extended', tokens.flask, {}, 'alice'],
    ['Django simplejwt', tokens.simpleJwt, {}, '42'],
    ['Laravel jwt-auth', laravel, { issuers: [loginUrl, refreshUrl] }, '1'],
    ['devise-jwt', tokens.devise, {}, '1'],
    ['Supabase', tokens.supabase, supabase, '3f1c9d52-6a0b-4f6e-9d43-2f6c1f8f5c11'],
  ])('%s', async (_program, token, legacy, subject) => {
    expect(await verdictOf(token, legacy)).toMatchObject({
      ok: true,
      // Nothing but the user, the times and the id: no role, no audience of Postern's and no session is taken.
      claims: {
        subject,
        subjectType: 'user',
        sessionId: null,
        clientId: null,
        issuer: null,
        audience: [],
        roles: [],
        keyId: null,
      },
    });
  });

  test.each([
    ['Flask-JWT-Extended', tokens.flask, {}, '39e8cd0e-c4d8-4d31-934e-5bca56936de7'],
    ['Django simplejwt', tokens.simpleJwt, {}, 'cc447aee50374d03bf85f7f4bde06679'],
    ['Laravel jwt-auth', laravel, { issuers: [loginUrl] }, 'x3f8Jm2vQe6sYb0K'],
    ['devise-jwt', tokens.devise, {}, '06afd6b9-c9bb-46dc-b00d-49ef6fe25576'],
    ['a program that counts', sign({ sub: 1, jti: 77, exp }), {}, '77'],
  ])('S11 the jti of %s can be revoked', async (_program, token, legacy, jti) => {
    const subject = await serviceFor(legacy);
    expect(await subject.verifier.verify(token)).toMatchObject({ ok: true, claims: { tokenId: jti } });
    subject.revocations.add('jti', jti, Infinity);
    expect(await subject.verifier.verify(token)).toMatchObject({ refusal: { reason: 'TOKEN_REVOKED' } });
  });
});

describe('T27 T13 what the same secret signs besides access tokens', () => {
  test.each([
    ['a refresh token of Flask-JWT-Extended', tokens.flaskRefresh, {}, 'the claim type must be access'],
    ['a refresh token of simplejwt', tokens.simpleJwtRefresh, {}, 'the claim token_type must be access'],
    ['a sliding token of simplejwt', tokens.simpleJwtSliding, {}, 'the claim token_type must be access'],
    ['a reset token of fastapi-users', tokens.fastApiUsersReset, {}, 'aud must be absent or null'],
    [
      'a reset token of fastapi-users, its audience named',
      tokens.fastApiUsersReset,
      { audiences: ['fastapi-users:auth'] },
      'aud has no audience that POSTERN_LEGACY_HS256_AUDIENCE names',
    ],
    [
      'the key for services of Supabase',
      tokens.supabaseServiceRole,
      { issuers: ['supabase'] },
      'names no user',
    ],
  ])('%s is refused', async (_name, token, legacy, words) => {
    const fault = await faultOf(token, legacy);
    expect(fault).toMatch(/^TOKEN_CLAIMS_INVALID: /);
    expect(fault).toContain(words);
  });

  test.each(['type', 'token_type', 'token_use', 'purpose', 'typ', 'tokenType', 'tokenUse'])(
    '%s is access or absent, whatever the settings',
    async (name) => {
      for (const value of ['refresh', 'Access', 'access ', '', 'bearer', 'id', null, true, ['access'], {}]) {
        const token = sign({ sub: '1', exp, [name]: value });
        expect(await faultOf(token)).toContain(`the claim ${name} must be access or absent`);
      }
      expect(await faultOf(sign({ sub: '1', exp, [name]: 'access' }))).toBe('accepted');
    },
  );
});

describe('T27 a refusal says what is wrong', () => {
  test.each<[string, string, Partial<LegacyClaimsPolicy>, string]>([
    ['the issuer is not set up', laravel, {}, 'iss must be absent or null'],
    [
      'another issuer',
      laravel,
      { issuers: [refreshUrl] },
      'iss is not an issuer that POSTERN_LEGACY_HS256_ISSUER',
    ],
    ['an issuer is missing', tokens.nestJs, { issuers: [loginUrl] }, 'iss is not an issuer that'],
    ['a part of the issuer', laravel, { issuers: ['https://old.example'] }, 'iss is not an issuer that'],
    [
      'a list of issuers',
      sign({ sub: '1', exp, iss: [loginUrl] }),
      { issuers: [loginUrl] },
      'iss is not an issuer',
    ],
    [
      'the audience is not set up',
      tokens.supabase,
      { issuers: supabase.issuers },
      'aud must be absent or null',
    ],
    ['another audience', tokens.supabase, { ...supabase, audiences: ['anon'] }, 'aud has no audience that'],
    ['an audience is missing', tokens.nestJs, { audiences: ['web'] }, 'aud has no audience that'],
    [
      'an audience that is none',
      sign({ sub: '1', exp, aud: [7, 'web'] }),
      { audiences: ['web'] },
      'aud has no',
    ],
    ['an empty audience', sign({ sub: '1', exp, aud: [] }), {}, 'aud must be absent or null'],
    [
      'the user is in id',
      tokens.nestJsWithId,
      {},
      'names no user in a claim that POSTERN_LEGACY_HS256_SUBJECT lists',
    ],
    ['two users', sign({ sub: '1', user_id: 2, exp }), {}, 'more than one of the claims'],
    ['the same user twice', sign({ sub: '1', user_id: '1', exp }), {}, 'more than one of the claims'],
    ['a user beside null', sign({ sub: null, user_id: 1, exp }), {}, 'more than one of the claims'],
    ['a user with a fraction', sign({ sub: 1.5, exp }), {}, 'the claim that names the user must be'],
    ['no exp', sign({ sub: '1' }), {}, 'the token has no exp'],
    ['exp in milliseconds', sign({ sub: '1', exp: exp * 1000 }), {}, 'exp must be a number of seconds'],
    ['a jti that is none', sign({ sub: '1', exp, jti: ['a'] }), {}, 'jti must be'],
    [
      'typ in lower case',
      sign({ sub: '1', exp }, { alg: 'HS256', typ: 'jwt' }),
      {},
      'typ must be JWT or absent',
    ],
  ])('%s', async (_name, token, legacy, words) => {
    expect(await faultOf(token, legacy)).toContain(words);
  });

  test('T17 a token that begins later is refused until then', async () => {
    const subject = await serviceFor({});
    const token = sign({ sub: '1', exp, nbf: signedSeconds + 60 });
    expect(await subject.verifier.verify(token)).toMatchObject({
      refusal: { reason: 'TOKEN_NOT_YET_VALID' },
    });
    subject.clock.seconds += 60;
    expect(await subject.verifier.verify(token)).toMatchObject({ ok: true });
  });

  test('a claim that every object inherits names no user', async () => {
    const subjectClaims = ['constructor', 'toString', '__proto__', 'sub'];
    expect(await faultOf(sign({ exp }), { subjectClaims })).toContain('names no user');
    expect(await verdictOf(sign({ sub: '1', exp }), { subjectClaims })).toMatchObject({
      claims: { subject: '1' },
    });
  });

  test('of another secret says nothing of the claims', async () => {
    const forged = forge(
      'HS256',
      json({ alg: 'HS256' }),
      json({ type: 'refresh' }),
      secretKey('x'.repeat(32)),
    );
    expect(await faultOf(forged)).toBe('TOKEN_SIGNATURE_INVALID: the signature does not match');
  });
});

test('S11 to revoke it, a token is known by its jti even where another issuer or audience is set up', async () => {
  for (const legacy of [{}, { issuers: ['x'], audiences: ['y'] }]) {
    const { verifier } = await serviceFor(legacy);
    const token = sign({ sub: '1', jti: 'j', iss: loginUrl, aud: 'web', exp });
    expect(await verifier.verify(token)).toMatchObject({ ok: false });
    expect(await verifier.identify(token)).toMatchObject({ ok: true, claims: { tokenId: 'j' } });
  }
});
