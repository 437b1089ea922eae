import { expect, test } from '@jest/globals';

import { TokenVerifier } from '../../src/tokens/verify/token-verifier.ts';
import { VerifiedTokenCache } from '../../src/tokens/verify/verified-token-cache.ts';
import { createKeyRing } from '../../src/tokens/verify/key-ring.ts';
import { TrustBundle } from '../../src/trust/trust-bundle.ts';
import { startSeconds, verifierUnderTest } from '../security/verifier-under-test.ts';

const expiresAtSeconds = startSeconds + 3_600;

test('T24 a cached token is checked again after every change of keys or revocations, and only then', async () => {
  const { issue, keys, policy } = await verifierUnderTest('ES256');
  const bundle = new TrustBundle();
  bundle.replaceKeys(keys.ring);
  let asked = 0;
  const trust = {
    keys: () => bundle.keys(),
    isRevoked: (claims: Parameters<TrustBundle['isRevoked']>[0]) => {
      asked += 1;
      return bundle.isRevoked(claims);
    },
    get revision() {
      return bundle.revision;
    },
  };
  const cache = new VerifiedTokenCache(1024 * 1024);
  const verifier = new TokenVerifier({
    trust,
    policy: () => policy,
    cache,
    nowMs: () => startSeconds * 1000,
  });
  const verdict = async (token: string) => {
    const answer = await verifier.verify(token);
    return answer.ok ? answer.claims : answer.refusal.reason;
  };
  const seen = async () => {
    const token = await issue();
    const claims = await verdict(token);
    if (typeof claims === 'string') throw new Error(claims);
    return { token, id: claims.tokenId ?? '', session: claims.sessionId ?? '' };
  };
  const [first, second, third] = [await seen(), await seen(), await seen()];
  const asBefore = asked;
  for (let call = 0; call < 5; call++) expect(await verdict(first.token)).not.toBe('TOKEN_REVOKED');
  expect(asked).toBe(asBefore);

  bundle.revoke([{ kind: 'sid', id: first.session, expiresAtSeconds }]);
  expect(await verdict(first.token)).toBe('TOKEN_REVOKED');
  expect(await verdict(first.token)).toBe('TOKEN_REVOKED');
  bundle.applyUpdates({
    revocations: [{ kind: 'jti', id: second.id, expiresAtSeconds, position: 1n }],
    cursor: 2n,
    complete: false,
    readAtMs: 0,
  });
  expect(await verdict(second.token)).toBe('TOKEN_REVOKED');
  expect(await verdict(third.token)).toMatchObject({ tokenId: third.id });
  bundle.replaceKeys(createKeyRing([]));
  expect(await verdict(third.token)).toBe('TOKEN_KEY_UNKNOWN');
  bundle.replaceKeys(keys.ring);
  expect(await verdict(third.token)).toMatchObject({ tokenId: third.id });
});
