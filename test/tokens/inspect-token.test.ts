import { describe, expect, test } from '@jest/globals';
import { Secret } from '../../src/domain/secret.ts';
import { inspectToken, type TokenInspection } from '../../src/tokens/verify/inspect-token.ts';
import { encode, forge, json, secretKey, Specimen } from '../security/forge.ts';
import { sharedSecret, startSeconds, verifierUnderTest } from '../security/verifier-under-test.ts';

const nowMs = startSeconds * 1000;

function reasonsOf(inspection: TokenInspection): readonly string[] {
  return inspection.problems.map(({ reason }) => reason);
}

test('without keys it reports an unchecked signature and the contents of the token', async () => {
  const { issue } = await verifierUnderTest('ES256');
  const inspection = await inspectToken(await issue({ subject: 'u-1' }), { nowMs });
  expect(inspection).toMatchObject({
    header: { alg: 'ES256', typ: 'at+jwt' },
    claims: { sub: 'u-1', client_id: 'postern' },
    problems: [],
    signature: { verdict: 'not checked', why: 'no key set was given' },
    notes: [],
  });
});

test('of a text that is no token it says just that', async () => {
  const { problems, notes } = await inspectToken('abc', { nowMs });
  expect(problems).toEqual([
    { reason: 'TOKEN_MALFORMED', detail: 'a token is three base64url segments joined by dots' },
  ]);
  expect(notes).toEqual([]);
});

test('lists several problems at once', async () => {
  const { setting } = await verifierUnderTest('ES256');
  const specimen = new Specimen(await setting());
  const header = specimen.headerWith({ kid: 'other', typ: 'JWT', crit: ['exp'] });
  const claims = specimen.claimsWith({ iss: 'x', sub: '', exp: startSeconds - 100 });
  const token = `${encode(header)}.${encode(claims)}=.${specimen.signatureSegment}`;
  const inspection = await inspectToken(token, {
    jwks: specimen.setting.jwks,
    issuer: 'https://auth.example/realm',
    nowMs,
  });
  expect(inspection.problems.map(({ detail }) => detail)).toEqual([
    'a segment is not canonical base64url',
    'the header has a member other than alg, kid and typ',
    'no key with this kid is published',
    expect.stringMatching(/^typ is not/),
    'sub must be a string of 1 to 256 characters without control characters',
    expect.stringMatching(/^iss is not/),
    'the token has expired',
  ]);
  const words = inspection.problems.map(({ detail }) => detail).join('\n');
  for (const part of ['base64url', 'alg, kid and typ', 'typ ', 'sub ', 'iss ']) expect(words).toContain(part);
  expect(inspection.signature).toMatchObject({ verdict: 'not checked' });
});

test('an HS256 token against a key set is refused for its algorithm', async () => {
  const { setting } = await verifierUnderTest('ES256');
  const { jwks } = await setting();
  const token = forge('HS256', json({ alg: 'HS256', typ: 'JWT' }), json({ sub: 'x' }), secretKey('k'));
  const inspection = await inspectToken(token, { jwks, nowMs });
  expect(reasonsOf(inspection)).toContain('TOKEN_ALG_NOT_ALLOWED');
  expect(inspection.signature).toMatchObject({ verdict: 'not checked' });
});

test('a legacy token is inspected by its own rules', async () => {
  const token = forge(
    'HS256',
    json({ alg: 'HS256' }),
    json({ user_id: 7, exp: startSeconds + 60 }),
    secretKey(sharedSecret.utf8()),
  );
  expect(await inspectToken(token, { sharedSecret, nowMs })).toMatchObject({
    problems: [],
    signature: { verdict: 'valid' },
  });
});

describe('a token of an earlier login', () => {
  const devise = { sub: '1', scp: 'user', aud: null, jti: 'j', exp: startSeconds + 60 };
  const sign = (claims: object, header: object = { alg: 'HS256' }) =>
    forge('HS256', json(header), json(claims), secretKey(sharedSecret.utf8()));
  const legacy = { legacy: true, sharedSecret, nowMs };

  test('is good with --legacy, and without it what HS256 mode would miss is said', async () => {
    expect(await inspectToken(sign(devise), legacy)).toMatchObject({
      problems: [],
      signature: { verdict: 'valid' },
      notes: [expect.stringContaining('earlier login')],
    });
    const { problems, notes } = await inspectToken(sign(devise), { sharedSecret, nowMs });
    const words = problems.map(({ detail }) => detail).join('\n');
    for (const missing of ['typ must be JWT or at+jwt', 'has no iat', 'iss is not', 'aud must be'])
      expect(words).toContain(missing);
    expect(notes.join()).toContain('--legacy');
  });

  test('has the problems that the service would find', async () => {
    const odd = sign(
      { ...devise, sub: undefined, id: 1, type: 'refresh', aud: ['web'] },
      { alg: 'HS256', typ: 'x' },
    );
    const { problems } = await inspectToken(odd, {
      ...legacy,
      issuer: 'https://old.example',
      audiences: ['app'],
    });
    const words = problems.map(({ detail }) => detail).join('\n');
    for (const part of [
      'typ must be JWT or absent',
      'claim type',
      'names no user',
      'iss is not',
      'aud has no',
    ])
      expect(words).toContain(part);
    const named = await inspectToken(sign({ ...devise, sub: undefined, id: 1 }), {
      ...legacy,
      subjectClaims: ['id'],
    });
    expect(named.problems).toEqual([]);
  });

  test('with another algorithm is refused for it', async () => {
    const { issue } = await verifierUnderTest('ES256');
    expect(reasonsOf(await inspectToken(await issue(), legacy))).toContain('TOKEN_ALG_NOT_ALLOWED');
  });
});

test.each([
  ['Bearer a.b.c', 'authorization header'],
  ['prt_AAAA', 'refresh token'],
  ['{"payload":"x"}', 'JSON'],
  ['a.b.c.d.e', 'encrypted token'],
  [' a.b.c\n', 'white space'],
])('%j: a note names what the text is', async (text, note) => {
  const inspection = await inspectToken(text, { nowMs });
  expect(inspection.notes.join()).toContain(note);
  expect(reasonsOf(inspection)).toContain('TOKEN_MALFORMED');
});

test('unusable keys and secrets are reported, not thrown', async () => {
  const { issue, setting } = await verifierUnderTest('ES256');
  const { jwks } = await setting();
  const broken = { keys: [{ kty: 'EC' }, null, ...jwks.keys] };
  const inspection = await inspectToken(await issue(), { jwks: broken, nowMs });
  expect(inspection.signature.verdict).toBe('valid');
  expect(inspection.notes).toHaveLength(2);
  expect((await inspectToken(await issue(), { jwks: 7, nowMs })).notes).toEqual([
    expect.stringContaining('JWKS'),
  ]);
  const empty = await inspectToken(await issue(), { jwks: { keys: [] }, nowMs });
  expect(empty.notes.join()).toContain('no keys');
  const weak = await inspectToken(await issue(), { sharedSecret: new Secret('short'), nowMs });
  expect(weak.notes.join()).toContain('32 bytes');
});

test('a text of a megabyte is not parsed', async () => {
  const inspection = await inspectToken('A'.repeat(1_048_576), { nowMs });
  expect(reasonsOf(inspection)).toEqual(['TOKEN_TOO_LARGE']);
});
