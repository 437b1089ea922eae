import { importSharedSecret } from '../../../src/tokens/issue/shared-secret-key.ts';
import type { PublicJwk } from '../../../src/tokens/verify/verification-key.ts';
import { sharedSecret, type VerifierUnderTest } from '../../security/verifier-under-test.ts';
import * as before from './token-verifier.mjs';

/** A verifier of the release before, which trusts the keys and knows the clock of the one of now. */
export async function verifierBefore({ mode, keys, policy, clock }: VerifierUnderTest) {
  const { keys: jwks } = JSON.parse(keys.ring.jwks.json) as { keys: PublicJwk[] };
  const ring = before.createKeyRing(await Promise.all(jwks.map((jwk) => before.importVerificationKey(jwk))));
  return new before.TokenVerifier({
    trust: { keys: () => ring, isRevoked: () => false },
    policy: () => policy,
    sharedSecret: mode === 'HS256' ? importSharedSecret(sharedSecret) : null,
    nowMs: () => clock.seconds * 1000,
  });
}
