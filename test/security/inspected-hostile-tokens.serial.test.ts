import { describe, expect, test } from '@jest/globals';
import { inspectToken } from '../../src/tokens/verify/inspect-token.ts';
import { json, type TokenMode } from './forge.ts';
import { validTokens } from './valid-tokens.ts';
import { hostileTokens } from './hostile-tokens.ts';
import { sharedSecret, startSeconds, verifierUnderTest } from './verifier-under-test.ts';

const nowMs = startSeconds * 1000;

describe.each(['ES256', 'RS256', 'EdDSA', 'HS256'] as const)('token inspection, %s', (mode: TokenMode) => {
  test('reports the expected problem for every hostile token, and none for a valid one', async () => {
    const setting = await (await verifierUnderTest(mode)).setting();
    const { issuer, maxLifetimeSeconds } = setting;
    const keys = mode === 'HS256' ? { sharedSecret } : { jwks: setting.jwks };
    const options = { ...keys, issuer, audiences: ['postern', 'billing'], maxLifetimeSeconds, nowMs };
    const wrong: string[] = [];
    for (const { name, token, expected } of hostileTokens(setting)) {
      const { problems } = await inspectToken(token, options);
      const reasons = problems.map(({ reason }) => reason as string);
      if (!expected.some((reason) => reasons.includes(reason))) wrong.push(`${name}: ${reasons.join()}`);
    }
    for (const { name, token } of validTokens(setting)) {
      const inspection = await inspectToken(token, options);
      if (inspection.problems.length > 0 || inspection.signature.verdict !== 'valid')
        wrong.push(`${name}: ${json(inspection)}`);
    }
    expect(wrong).toEqual([]);
  });
});
