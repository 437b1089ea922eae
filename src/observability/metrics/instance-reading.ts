import type { InstanceReading } from '../../features/overview/instance-reading.ts';
import type { VerifiedTokenCache } from '../../tokens/verify/verified-token-cache.ts';
import type { CallCounts } from './call-counts.ts';
import { allCalls, loginOutcomes, successfulRefreshes, verificationOutcomes } from './call-collectors.ts';
import type { ServiceParts } from './service-collectors.ts';

/** The state and the counters of this instance for GetOverview, from the same sources as `/metrics`. */
export function readInstance(
  parts: Omit<ServiceParts, 'purgedRows'> & {
    readonly calls: CallCounts;
    readonly cache: VerifiedTokenCache | null;
    readonly maxStalenessMs: number;
  },
): InstanceReading {
  const { calls, trust, hasher, circuit, clock } = parts;
  const { ok, challenged, refused, throttled, overloaded, malformed, failed } = loginOutcomes(calls);
  const { sid, jti, kid } = trust.revokedLocally;
  const { running, queued, averageMs } = hasher.load;
  const { connections, maxConnections } = parts.pools.service;
  return {
    logins: {
      ok,
      wrongCredentials: refused,
      secondFactorRequired: challenged,
      throttled,
      overloaded,
      other: malformed + failed,
    },
    refreshes: successfulRefreshes(calls),
    revocations: sid + jti + kid,
    verifications: { ...verificationOutcomes(calls), cacheHits: parts.cache?.hits ?? 0 },
    rpcs: allCalls(calls),
    revocationDelays: parts.revocationDelay,
    watchers: parts.broadcaster.watchers,
    trust: { ageMs: trust.ageMs, maxStalenessMs: parts.maxStalenessMs },
    hashQueue: { running, waiting: queued, capacity: hasher.capacity, averageMs },
    database: {
      reachable: parts.reachable(),
      circuitOpen: circuit.isOpen,
      connectionsUsed: connections.used,
      connectionsMax: maxConnections,
      clockAheadMs: clock.aheadMs,
    },
  };
}
