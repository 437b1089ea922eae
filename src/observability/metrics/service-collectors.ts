import type { DatabaseClock } from '../../domain/database-clock.ts';
import type { DurationHistogram } from '../../domain/histogram.ts';
import type { KeyStage } from '../../features/signing-keys/key-lifecycle.ts';
import type { TrustBroadcaster } from '../../services/trust/trust-broadcaster.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';
import type { CircuitBreaker } from '../../database/circuit-breaker.ts';
import type { Database } from '../../database/database.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { Collectors } from './exposition.ts';

/** The sources of the metrics that only the central service has, not a sidecar. */
export interface ServiceParts {
  readonly hasher: PasswordHasher;
  readonly pools: Readonly<Record<'service' | 'trust', Database>>;
  readonly circuit: CircuitBreaker;
  readonly reachable: () => boolean;
  readonly clock: DatabaseClock;
  readonly trust: TrustBundle;
  readonly revocationDelay: DurationHistogram;
  readonly broadcaster: TrustBroadcaster;
  readonly keys: {
    readonly stages: () => readonly KeyStage[] | null;
    readonly refused: () => number;
  };
  /** How many API keys are in memory. */
  readonly apiKeys: () => number;
  readonly keyRotationSeconds: number;
  readonly purgedRows: () => number;
  /** Expiry of the listeners' certificate, Unix time in seconds; null in plaintext. */
  readonly certificateExpiry: () => number | null;
}

export function serviceCollectors(parts: ServiceParts): Collectors {
  const { hasher, circuit, clock, trust } = parts;
  const pools = Object.entries(parts.pools);
  return {
    revocations: () => {
      const { sid, jti, kid } = trust.revokedLocally;
      return [
        [['session'], sid],
        [['token'], jti],
        [['key'], kid],
      ];
    },
    revocationDelay: () => parts.revocationDelay,
    watchers: () => parts.broadcaster.watchers,
    hashRunning: () => hasher.load.running,
    hashQueued: () => hasher.load.queued,
    hashRefused: () => hasher.refused,
    hashAverage: () => hasher.load.averageMs / 1000,
    poolConnections: () =>
      pools.flatMap(([pool, { connections }]) =>
        Object.entries(connections).map(([state, count]) => [[pool, state], count] as const),
      ),
    poolMax: () => pools.map(([pool, { maxConnections }]) => [[pool], maxConnections] as const),
    databaseReachable: () => Number(parts.reachable()),
    circuitOpen: () => Number(circuit.isOpen),
    clockOffset: () => (clock.aheadMs === null ? null : clock.aheadMs / 1000),
    keys() {
      const keys = parts.keys.stages();
      if (keys === null) return null;
      const countOf = (state: string) => keys.filter((key) => key.state === state).length;
      return ['pending', 'active', 'retired'].map((state) => [[state], countOf(state)] as const);
    },
    keyAge() {
      const since = parts.keys.stages()?.find(({ state }) => state === 'active')?.activatedAtMs;
      return since == null ? null : (Date.now() - since) / 1000;
    },
    keysRefused: () => parts.keys.refused(),
    apiKeys: () => parts.apiKeys(),
    keyRotation: () => parts.keyRotationSeconds,
    purgedRows: parts.purgedRows,
    certificateExpiry: parts.certificateExpiry,
  };
}
