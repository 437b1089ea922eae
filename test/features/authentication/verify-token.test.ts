import { expect, test } from '@jest/globals';

import { verifyToken } from '../../../src/features/authentication/verify-token.ts';
import { createTokenId, signAccessToken } from '../../../src/tokens/issue/sign-access-token.ts';
import { createKeyRing } from '../../../src/tokens/verify/key-ring.ts';
import { generateSigningKey, importSigner } from '../../../src/tokens/issue/signing-key.ts';
import { TokenVerifier } from '../../../src/tokens/verify/token-verifier.ts';
import { importVerificationKey } from '../../../src/tokens/verify/verification-key.ts';
import { TrustBundle } from '../../../src/trust/trust-bundle.ts';

const policy = {
  issuer: 'https://auth.example',
  audiences: ['api'],
  maxLifetimeSeconds: 600,
  skewSeconds: 5,
};

test('T05 while only revocations are loaded, a valid token waits for the keys instead of being refused for its kid', async () => {
  const pair = await generateSigningKey('ES256');
  const token = await signAccessToken(await importSigner(pair), {
    issuer: policy.issuer,
    audience: 'api',
    subject: 'ann',
    sessionId: 's1',
    clientId: 'postern',
    externalId: null,
    roles: [],
    tokenId: createTokenId(Buffer.alloc(16, 1)),
    issuedAtSeconds: Math.floor(Date.now() / 1000),
    lifetimeSeconds: 600,
  });
  const trust = new TrustBundle();
  const verifier = new TokenVerifier({ trust, policy: () => policy, cache: null, nowMs: Date.now });
  const verify = async (initialLoadWaitMs: number) =>
    verifyToken(
      { verifier, trust, maxStalenessMs: 60_000, initialLoadWaitMs, nowMs: Date.now },
      { token, audience: '' },
    );
  trust.applyUpdates({ revocations: [], cursor: 1n, complete: true, readAtMs: performance.now() });
  await expect(verify(0)).rejects.toMatchObject({ rejection: { kind: 'trust-stale' } });

  const waiting = verify(10_000);
  trust.replaceKeys(createKeyRing([await importVerificationKey(pair.publicJwk)]));
  expect(await waiting).toMatchObject({ subject: 'ann' });
});
