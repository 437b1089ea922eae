import type { Settings } from '../config/load-settings.ts';
import { DEFAULT_SKEW_SECONDS } from '../domain/claims.ts';
import type { DatabaseClock } from '../domain/database-clock.ts';
import { AccessTokenIssuer } from '../features/sessions/access-token-issuer.ts';
import { createSharedSecretSigner, importSharedSecret } from '../tokens/issue/shared-secret-key.ts';
import { TokenVerifier } from '../tokens/verify/token-verifier.ts';
import { VerifiedTokenCache } from '../tokens/verify/verified-token-cache.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';

/** What issues, verifies and publishes by the keys of one trust bundle. */
export type Tokens = ReturnType<typeof composeTokens>;

/** Wires access tokens as the settings ask for them. */
export function composeTokens(settings: Settings, trust: TrustBundle, clock: DatabaseClock) {
  const sharedSecret = settings.secret && importSharedSecret(settings.secret);
  const sharedSecretSigner = sharedSecret && createSharedSecretSigner(sharedSecret);
  const legacyHs256 = settings.legacyHs256 && {
    key: importSharedSecret(settings.legacyHs256.secret),
    untilMs: settings.legacyHs256.untilMs,
  };
  const policy = {
    issuer: settings.issuer,
    audiences: settings.audiences,
    maxLifetimeSeconds: settings.accessTokenTtlSeconds,
    skewSeconds: DEFAULT_SKEW_SECONDS,
  };
  const cache = settings.tokenCacheBytes > 0 ? new VerifiedTokenCache(settings.tokenCacheBytes) : null;
  const nowMs = () => clock.nowMs();
  return {
    policy,
    nowMs,
    apiAudience: settings.apiAudience ?? settings.audiences[0],
    issuer: new AccessTokenIssuer({
      issuer: settings.issuer,
      audiences: settings.audiences,
      lifetimeSeconds: settings.accessTokenTtlSeconds,
      // Nothing is signed by a clock that was never held against the database's.
      signer: () => (clock.aheadMs === null ? null : (sharedSecretSigner ?? trust.keys().signer)),
      nowMs,
    }),
    verification: {
      verifier: new TokenVerifier({
        trust,
        policy: () => policy,
        sharedSecret,
        legacyHs256,
        cache,
        nowMs,
      }),
      trust,
      maxStalenessMs: settings.maxStalenessSeconds * 1000,
    },
    cache,
    /** The key set as it may be cached; null while no keys are known yet. With a shared secret it is empty for good. */
    jwks: () => {
      const { jwks, kids } = trust.keys();
      if (kids.length === 0 && !sharedSecret) return null;
      return { ...jwks, maxAgeSeconds: settings.jwksMaxAgeSeconds };
    },
  };
}
