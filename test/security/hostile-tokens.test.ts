import { beforeAll, describe, expect, test } from '@jest/globals';
import type { TokenRefusal, TokenRefusalReason } from '../../src/domain/rejection.ts';
import { importSharedSecret } from '../../src/tokens/issue/shared-secret-key.ts';
import { legacyHeaderFault } from '../../src/tokens/verify/select-key.ts';
import { readHeader } from '../../src/tokens/verify/token-format.ts';
import { forge, json, secretKey, Specimen, type TokenSetting, type TokenMode } from './forge.ts';
import { validTokens, mixed } from './valid-tokens.ts';
import { hostileTokens, type HostileToken } from './hostile-tokens.ts';
import { fastest } from './fastest.ts';
import {
  legacySecret,
  startSeconds,
  verifierUnderTest,
  modesUnderTest,
  type VerifierUnderTest,
} from './verifier-under-test.ts';

const rows = ['T01', 'T02', 'T03', 'T04', 'T05', 'T06', 'T07', 'T08', 'T09', 'T10', 'T11', 'T12', 'T13', 'T14', 'T15', 'T16', 'T17', 'T18', 'T19', 'T20']; // prettier-ignore
/** Where a mode has other claims (design.md, Tokens) or no public material, no token stands for the row. */
const rowsWithoutTokens: Readonly<Record<TokenMode, readonly string[]>> = {
  ES256: [],
  RS256: [],
  EdDSA: [],
  HS256: ['T04', 'T18'],
};

describe.each(modesUnderTest)('hostile tokens, $name', ({ mode, legacyHs256 }) => {
  let subject: VerifierUnderTest;
  let setting: TokenSetting;
  let tokens: readonly HostileToken[];

  beforeAll(async () => {
    const legacyKey = { key: importSharedSecret(legacySecret), untilMs: (startSeconds + 3600) * 1000 };
    subject = await verifierUnderTest(mode, legacyHs256 ? { legacyHs256: legacyKey } : {});
    setting = await subject.setting();
    tokens = [...hostileTokens(setting)];
  });

  async function answersOf(chosen: readonly HostileToken[]): Promise<readonly string[]> {
    const wrong: string[] = [];
    for (const { name, token, expected } of chosen) {
      const verdict = await subject.verifier.verify(token);
      if (verdict.ok) wrong.push(`${name} was accepted`);
      else if (![...expected, ...alsoAcceptable(token)].includes(verdict.refusal.reason))
        wrong.push(`${name}: ${verdict.refusal.reason} (${verdict.refusal.detail})`);
    }
    return wrong;
  }

  /** While legacy HS256 tokens are accepted, an HS256 header that is not one of Postern's is checked with their secret. */
  function alsoAcceptable(token: string): readonly TokenRefusalReason[] {
    const header = readHeader(token.split('.')[0] ?? '');
    const isForLegacyHs256 =
      legacyHs256 &&
      header.ok &&
      header.header.alg === 'HS256' &&
      legacyHeaderFault(header.header, subject.keys.ring) === null;
    return isForLegacyHs256 ? ['TOKEN_SIGNATURE_INVALID'] : [];
  }

  test.each(rows)('%s: each token is refused with its own reason', async (row) => {
    const ofRow = tokens.filter((token) => token.row === row);
    expect(ofRow.length > 0).toBe(!rowsWithoutTokens[mode].includes(row));
    expect(await answersOf(ofRow)).toEqual([]);
  });

  test('there are at least 640 different tokens, all in these rows', () => {
    expect(new Set(tokens.map(({ token }) => token)).size).toBeGreaterThanOrEqual(640);
    expect(tokens.filter(({ row }) => !rows.includes(row))).toEqual([]);
  });

  test('T02 every refusal takes less than 5 ms, that of a megabyte less than 1 ms', async () => {
    const slow: string[] = [];
    for (const { name, token } of tokens) {
      const limitMs = token.length > 1_000_000 ? 1 : 5;
      const ms = await fastest(limitMs, 20, () => subject.verifier.verify(token));
      if (ms > limitMs) slow.push(`${name}: ${ms} ms`);
    }
    expect(slow).toEqual([]);
  });

  test('valid tokens are accepted', async () => {
    const refused: string[] = [];
    for (const { name, token } of validTokens(setting)) {
      const verdict = await subject.verifier.verify(token);
      if (!verdict.ok) refused.push(`${name}: ${verdict.refusal.detail}`);
    }
    expect(refused).toEqual([]);
  });

  test('T20 combinations of parts of two valid tokens are refused', async () => {
    for (const token of mixed(await subject.issue(), await subject.issue({ roles: ['admin'] }))) {
      expect(await subject.verifier.verify(token)).toMatchObject({
        ok: false,
        refusal: { reason: 'TOKEN_SIGNATURE_INVALID' },
      });
    }
  });

  test('T25 every refusal has one of a few fixed messages', async () => {
    const said = new Set<string>();
    for (const { token } of tokens) {
      const verdict = await subject.verifier.verify(token);
      const { refusal } = verdict as { refusal: TokenRefusal };
      said.add(`${refusal.reason}: ${refusal.detail}`);
    }
    // Thousands of tokens, but only the messages of the tables in `refusals.ts` and `claims.ts`: none contains a token.
    expect(said.size).toBeLessThan(40);
    for (const sentence of said) expect(sentence).toMatch(/^TOKEN_[A-Z_]+: [a-z_+0-9 ,^-]+$/i);
  });

  test('every token that an outsider can make without the key is refused as well', async () => {
    const outside = [...hostileTokens({ ...setting, signingKey: null })];
    expect(outside.length).toBeGreaterThan(300);
    expect(await answersOf(outside)).toEqual([]);
  });
});

describe('hostile tokens that the earlier login’s own secret signed', () => {
  test('T01-T20 each is refused, unless it is strange only in what counts for nothing', async () => {
    const { subject, setting } = await signedByTheEarlierLogin();
    expect(await subject.verifier.verify(setting.validToken)).toMatchObject({ ok: true });
    const strange = new Set<string>();
    let refused = 0;
    for (const { token } of hostileTokens(setting)) {
      const verdict = await subject.verifier.verify(token);
      if (!verdict.ok) refused++;
      else {
        expect(verdict.claims).toMatchObject({ subjectType: 'user', sessionId: null, clientId: null });
        expect(verdict.claims).toMatchObject({ issuer: null, audience: [], roles: [], keyId: null });
        strange.add(differences(token, setting.validToken));
      }
    }
    expect(refused).toBeGreaterThan(400);
    // A whole number is an id as well, `user_id` names the user as `sub` does, and programs leave typ out.
    expect([...strange].sort()).toEqual([
      '',
      'jti=-1',
      'jti=0',
      'jti=1',
      'sub=-1',
      'sub=0',
      'sub=1',
      'typ=absent',
      'user_id=1 sub=absent',
    ]);
  });
});

/** Where a token differs from another, other than in `kid`, `sid`, `client_id`, `roles` and `iat`, which count for nothing. */
function differences(token: string, other: string): string {
  const [these, those] = [token, other].map((validToken) => {
    const { header, claims } = new Specimen({ validToken } as TokenSetting);
    return { ...header, ...claims };
  });
  return [...new Set([...Object.keys(these ?? {}), ...Object.keys(those ?? {})])]
    .filter((name) => !['kid', 'sid', 'client_id', 'roles', 'iat'].includes(name))
    .filter((name) => json(these?.[name]) !== json(those?.[name]))
    .map((name) => `${name}=${json(these?.[name] ?? 'absent').replaceAll('"', '')}`)
    .join(' ');
}

/** A service that takes the tokens of a login with an issuer and an audience, and one such token. */
async function signedByTheEarlierLogin() {
  const subject = await verifierUnderTest('ES256', {
    legacyHs256: { key: importSharedSecret(legacySecret), untilMs: (startSeconds + 3600) * 1000 },
  });
  const { issuer } = subject.policy;
  const legacy = { subjectClaims: ['user_id', 'sub'], issuers: [issuer], audiences: ['postern'] };
  Object.assign(subject.policy, { legacy });
  const given = await subject.setting();
  const signingKey = secretKey(legacySecret.utf8());
  const { claims } = new Specimen(given);
  const validToken = forge('HS256', json({ alg: 'HS256', typ: 'JWT' }), json(claims), signingKey);
  return { subject, setting: { ...given, mode: 'HS256' as const, validToken, signingKey } };
}
