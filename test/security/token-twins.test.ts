import { describe, expect, test } from '@jest/globals';
import { VerifiedTokenCache } from '../../src/tokens/verify/verified-token-cache.ts';
import { ecdsaTwin } from './hostile-signatures.ts';
import { verifierUnderTest } from './verifier-under-test.ts';

/** From one ECDSA signature anyone can derive a second: the same claims in another text. */
describe('the twin of an ES256 token', () => {
  test.each([true, false])('T23 stays revoked with its session (seen before: %s)', async (seenBefore) => {
    const { verifier, issue, revocations } = await verifierUnderTest('ES256', {
      cache: new VerifiedTokenCache(1 << 20),
    });
    const token = await issue({ sessionId: '0197a1b2-0000-7000-8000-000000000001' });
    const twin = ecdsaTwin(token);
    expect(twin).not.toBe(token);
    if (seenBefore) {
      expect((await verifier.verify(twin)).ok).toBe(true);
      expect((await verifier.verify(token)).ok).toBe(true);
    }
    revocations.add('sid', '0197a1b2-0000-7000-8000-000000000001', Infinity);
    for (const text of [token, twin]) {
      expect(await verifier.verify(text)).toMatchObject({ ok: false, refusal: { reason: 'TOKEN_REVOKED' } });
    }
  });

  test('T23 stays revoked with its token id, where it has no session', async () => {
    const { verifier, issue, revocations } = await verifierUnderTest('ES256');
    const token = await issue({ sessionId: null, tokenId: 'service-token', clientId: 'billing' });
    revocations.add('jti', 'service-token', Infinity);
    for (const text of [token, ecdsaTwin(token)]) {
      expect(await verifier.verify(text)).toMatchObject({ ok: false, refusal: { reason: 'TOKEN_REVOKED' } });
    }
  });
});
