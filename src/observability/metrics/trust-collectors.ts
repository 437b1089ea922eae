import type { VerifiedTokenCache } from '../../tokens/verify/verified-token-cache.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { Collectors } from './exposition.ts';

/** The age and state of the trust bundle, and the size and hits of the verification cache. */
export function trustCollectors(
  trust: TrustBundle,
  cache: VerifiedTokenCache | null,
  maxStalenessMs: number,
): Collectors {
  const state = () => {
    if (!trust.loaded) return 'loading';
    return trust.ageMs <= maxStalenessMs ? 'fresh' : 'stale';
  };
  return {
    trustAge: () => trust.ageMs / 1000,
    trustState: () =>
      ['loading', 'fresh', 'stale'].map((name) => [[name], name === state() ? 1 : 0] as const),
    revocationsLive: () => (trust.loaded ? trust.revocationCount : null),
    cacheHits: () => cache?.hits ?? 0,
    cacheMisses: () => cache?.misses ?? 0,
    cacheEntries: () => cache?.size ?? 0,
    cacheBytes: () => cache?.bytes ?? 0,
  };
}
