import { describe, expect, test } from '@jest/globals';

import type { VerifiedClaims } from '../../../src/domain/claims/claims.ts';
import { Rejected } from '../../../src/domain/rejection.ts';
import type { Call } from '../../../src/rpc/call.ts';
import { statusOf } from '../../../src/rpc/rejection-status.ts';
import { verificationService } from '../../../src/services/verification-service.ts';
import { someClaims } from '../../support/claims.ts';
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

describe('M40 a call that requires a level', () => {
  const NOW_MS = 1_800_000_000_500;
  let nowMs = NOW_MS;
  const trust = { loaded: true, ageMs: 0 } as unknown as TrustBundle;
  const ofLevel = (acr: string | null, age: number | null = 0) =>
    someClaims({ acr, authenticatedAtSeconds: age === null ? null : Math.floor(NOW_MS / 1000) - age });
  /** What the service answers for these claims. The second time they come from a cache. */
  const answerTo = async (
    claims: VerifiedClaims,
    required: { minAcr?: string; maxAuthAge?: number },
    { isApiKey = false } = {},
  ): Promise<string> => {
    const verifier = { verify: () => ({ ok: true, claims }) } as unknown as TokenVerifier;
    const dependencies = { verifier, trust, maxStalenessMs: 1, nowMs: () => nowMs };
    const verifyApiKey = () => Promise.resolve(claims);
    const { verifyToken: handler } = verificationService({
      verifyToken: (input) => verifyToken({ ...dependencies, ...(isApiKey && { verifyApiKey }) }, input),
    });
    const request = { audience: '', clientAddress: '', minAcr: '', maxAuthAge: undefined, ...required };
    const accessToken = isApiKey ? 'pak_key' : 'token';
    const call = { authorization: [], origin: {} } as unknown as Call;
    // The answer to the same claims without requirements is in the cache of encoded replies from now on.
    await handler({ ...request, accessToken, minAcr: '', maxAuthAge: undefined }, call);
    try {
      await handler({ ...request, accessToken }, call);
      return 'accepted';
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      const { reason, metadata = {} } = statusOf(error.rejection);
      return [reason, ...Object.entries(metadata).map(([name, value]) => `${name}=${value}`)].join(' ');
    }
  };

  test.each<[string, VerifiedClaims, { minAcr?: string; maxAuthAge?: number }, string]>([
    ['the level', ofLevel('aal2'), { minAcr: 'aal2', maxAuthAge: 300 }, 'accepted'],
    ['a lower level', ofLevel('aal1'), { minAcr: 'aal2' }, 'STEP_UP_REQUIRED acr_values=aal2'],
    ['no level', ofLevel(null), { minAcr: 'aal1' }, 'STEP_UP_REQUIRED acr_values=aal1'],
    ['a level of another program', ofLevel('aal3'), { minAcr: 'aal2' }, 'STEP_UP_REQUIRED acr_values=aal2'],
    ['the oldest proof', ofLevel('aal1', 300), { maxAuthAge: 300 }, 'accepted'],
    ['an older proof', ofLevel('aal2', 301), { maxAuthAge: 300 }, 'STEP_UP_REQUIRED max_age=300'],
    ['a proof of this second', ofLevel('aal1', 0), { maxAuthAge: 0 }, 'accepted'],
    ['a proof of a second ago', ofLevel('aal1', 1), { maxAuthAge: 0 }, 'STEP_UP_REQUIRED max_age=0'],
    ['no proof', ofLevel('aal2', null), { maxAuthAge: 4_294_967_295 }, 'STEP_UP_REQUIRED max_age=4294967295'],
    ['a level that does not exist', ofLevel('aal2'), { minAcr: 'AAL2' }, 'FIELD_INVALID'],
    ['a level with a space', ofLevel('aal2'), { minAcr: 'aal2 ' }, 'FIELD_INVALID'],
  ])('is answered by the claims: %s', async (_name, claims, required, expected) => {
    expect(await answerTo(claims, required)).toBe(expected);
  });

  test('is not satisfied by an API key', async () => {
    const key = someClaims({ credentialKind: 'api-key' });
    expect(await answerTo(key, {}, { isApiKey: true })).toBe('accepted');
    expect(await answerTo(key, { minAcr: 'aal1' }, { isApiKey: true })).toBe(
      'STEP_UP_REQUIRED acr_values=aal1',
    );
    expect(await answerTo(key, { maxAuthAge: 9 }, { isApiKey: true })).toBe('STEP_UP_REQUIRED max_age=9');
  });

  test('is answered anew while the proof grows old', async () => {
    const claims = ofLevel('aal2');
    expect(await answerTo(claims, { maxAuthAge: 300 })).toBe('accepted');
    nowMs = NOW_MS + 301_000;
    expect(await answerTo(claims, { maxAuthAge: 300 })).toBe('STEP_UP_REQUIRED max_age=300');
    nowMs = NOW_MS;
  });
});
