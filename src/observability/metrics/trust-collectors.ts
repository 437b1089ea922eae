import type { VerifiedTokenCache } from '../../tokens/verify/verified-token-cache.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { Collectors } from './exposition.ts';

/** How fresh is what this process verifies by, and how much of it is remembered. */
export function trustCollectors(
  trust: TrustBundle,
  cache: VerifiedTokenCache | null,
  maxStalenessMs: number,
): Collectors {
  const state = () => (!trust.loaded ? 'loading' : trust.ageMs <= maxStalenessMs ? 'fresh' : 'stale');
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
