import type { SigningAlgorithm } from '../../tokens/signing-algorithm.ts';
import type { SigningKeyPolicy } from './advance-signing-keys.ts';

/** Takes the policy of signing keys from the settings. */
export function keyPolicyOf(
  settings: {
    readonly keyRotationSeconds: number;
    readonly jwksMaxAgeSeconds: number;
    readonly accessTokenTtlSeconds: number;
  },
  algorithm: SigningAlgorithm,
): SigningKeyPolicy {
  return {
    algorithm,
    rotationSeconds: settings.keyRotationSeconds,
    jwksMaxAgeSeconds: settings.jwksMaxAgeSeconds,
    accessTokenTtlSeconds: settings.accessTokenTtlSeconds,
  };
}
