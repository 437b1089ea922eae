import type { Settings } from '../config/load-settings.ts';
import { type ClaimsPolicy, DEFAULT_SKEW_SECONDS } from '../domain/claims/claims.ts';
import type { DatabaseClock } from '../domain/database-clock.ts';
import type { AudienceNames } from '../features/audiences/audiences.ts';
import { AccessTokenIssuer } from '../features/sessions/access-token-issuer.ts';
import { createSharedSecretSigner, importSharedSecret } from '../tokens/issue/shared-secret-key.ts';
import { TokenVerifier } from '../tokens/verify/token-verifier.ts';
import { VerifiedTokenCache } from '../tokens/verify/verified-token-cache.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';

/** The issuer, the verifier and the published key set, all on the keys of one trust bundle. */
export type Tokens = ReturnType<typeof composeTokens>;

/** Wires the issuing and verification of access tokens according to the settings. */
export function composeTokens(
  settings: Settings,
  trust: TrustBundle,
  clock: DatabaseClock,
  audiences: () => AudienceNames,
) {
  const sharedSecret = settings.secret && importSharedSecret(settings.secret);
  const sharedSecretSigner = sharedSecret && createSharedSecretSigner(sharedSecret);
  const legacyHs256 = settings.legacyHs256 && {
    key: importSharedSecret(settings.legacyHs256.secret),
    untilMs: settings.legacyHs256.untilMs,
  };
  let latestPolicy: ClaimsPolicy | null = null;
  /** The same object while the audiences are the same: the cache of verified tokens compares it by identity. */
  const policy = (): ClaimsPolicy => {
    if (latestPolicy?.audiences === audiences()) return latestPolicy;
    latestPolicy = {
      issuer: settings.issuer,
      audiences: audiences(),
      maxLifetimeSeconds: settings.accessTokenTtlSeconds,
      skewSeconds: DEFAULT_SKEW_SECONDS,
      ...(settings.legacyHs256 && { legacy: settings.legacyHs256.claims }),
    };
    return latestPolicy;
  };
  const cache = settings.tokenCacheBytes > 0 ? new VerifiedTokenCache(settings.tokenCacheBytes) : null;
  const nowMs = () => clock.nowMs();
  return {
    policy,
    nowMs,
    apiAudience: settings.apiAudience ?? settings.audiences[0],
    issuer: new AccessTokenIssuer({
      issuer: settings.issuer,
      audiences,
      lifetimeSeconds: settings.accessTokenTtlSeconds,
      // No token is signed before the clock has been compared with that of the database.
      signer: () => (clock.aheadMs === null ? null : (sharedSecretSigner ?? trust.keys().signer)),
      nowMs,
      secondFactorRoles: settings.secondFactorRoles,
    }),
    verification: {
      verifier: new TokenVerifier({
        trust,
        policy,
        sharedSecret,
        legacyHs256,
        cache,
        nowMs,
      }),
      trust,
      maxStalenessMs: settings.maxStalenessSeconds * 1000,
      nowMs,
    },
    cache,
    /** The JWKS with its cache lifetime; null until keys are loaded. With a shared secret it is always empty. */
    jwks: () => {
      const { jwks, kids } = trust.keys();
      if (kids.length === 0 && !sharedSecret) return null;
      return { ...jwks, maxAgeSeconds: settings.jwksMaxAgeSeconds };
    },
  };
}
