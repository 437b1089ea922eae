import { beforeAll, describe, expect, test } from '@jest/globals';
import type { TokenRefusal, TokenRefusalReason } from '../../src/domain/rejection.ts';
import { importSharedSecret } from '../../src/tokens/issue/shared-secret-key.ts';
import { parseStrictJson } from '../../src/tokens/verify/strict-json.ts';
import { decode, type TokenSetting, type TokenMode } from './forge.ts';
import { validTokens, mixed } from './valid-tokens.ts';
import { hostileTokens, type HostileToken } from './hostile-tokens.ts';
import { fastest } from './fastest.ts';
import {
  legacySecret,
  startSeconds,
  verifierUnderTest,
  type VerifierUnderTest,
} from './verifier-under-test.ts';

const settings: readonly {
  readonly name: string;
  readonly mode: TokenMode;
  readonly legacyHs256: boolean;
}[] = [
  { name: 'ES256', mode: 'ES256', legacyHs256: false },
  { name: 'RS256', mode: 'RS256', legacyHs256: false },
  { name: 'EdDSA', mode: 'EdDSA', legacyHs256: false },
  { name: 'HS256', mode: 'HS256', legacyHs256: false },
  { name: 'ES256 in legacy mode', mode: 'ES256', legacyHs256: true },
  { name: 'HS256 in legacy mode', mode: 'HS256', legacyHs256: true },
];
const rows = ['T01', 'T02', 'T03', 'T04', 'T05', 'T06', 'T07', 'T08', 'T09', 'T10', 'T11', 'T12', 'T13', 'T14', 'T15', 'T16', 'T17', 'T18', 'T19', 'T20']; // prettier-ignore
/** Where a mode has other claims (design.md, Tokens) or no public material, no token stands for the row. */
const rowsWithoutTokens: Readonly<Record<TokenMode, readonly string[]>> = {
  ES256: [],
  RS256: [],
  EdDSA: [],
  HS256: ['T04', 'T18'],
};

describe.each(settings)('hostile tokens, $name', ({ mode, legacyHs256 }) => {
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

  /** With two secrets, a token without sub is checked with the legacy secret only. */
  function alsoAcceptable(token: string): readonly TokenRefusalReason[] {
    const claims = parseStrictJson(decode(token.split('.')[1] ?? ''));
    const isForLegacyHs256 = mode === 'HS256' && legacyHs256 && claims !== null && claims.sub === undefined;
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
