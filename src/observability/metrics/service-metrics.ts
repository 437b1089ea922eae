import type { KeyStep } from '../../features/signing-keys/key-lifecycle.ts';
import { CallCounts } from './call-counts.ts';
import type { VerifiedTokenCache } from '../../tokens/verify/verified-token-cache.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { callCollectors, type Listeners, listenerCollectors, loginCollectors } from './call-collectors.ts';
import { expose, type Collectors } from './exposition.ts';
import { ProcessMeter } from './process-collectors.ts';
import { type ServiceParts, serviceCollectors } from './service-collectors.ts';
import { trustCollectors } from './trust-collectors.ts';

/** What is counted as it happens; everything else is asked for when somebody looks. */
export class ServiceCounts {
  readonly calls = new CallCounts();
  /** Refreshes that gave the same successor again. */
  repeats = 0;
  purgedRows = 0;
  /** Steps of the keys' life cycle that this process took. */
  readonly keySteps: Record<KeyStep['kind'], number> = { prepare: 0, activate: 0, remove: 0 };
}

interface VerificationParts {
  readonly trust: TrustBundle;
  readonly cache: VerifiedTokenCache | null;
  readonly maxStalenessMs: number;
}

/** What every process has, whatever it serves. */
interface ProcessParts {
  /** Lines of the log that nobody will see. */
  readonly linesLost: () => number;
}

/** What `/metrics` says, until it is stopped. */
export interface Metrics {
  readonly text: () => string;
  stop(): void;
}

/** The metrics of the central service. */
export function serviceMetrics(
  parts: ProcessParts &
    Omit<ServiceParts, 'trust' | 'purgedRows'> & {
      readonly counts: ServiceCounts;
      readonly listeners: Listeners;
      readonly verification: VerificationParts;
    },
): Metrics {
  const { counts, verification } = parts;
  return metricsOf(parts, {
    ...callCollectors(counts.calls),
    ...listenerCollectors(parts.listeners),
    ...loginCollectors(counts.calls, () => counts.repeats),
    ...trustOf(verification),
    keySteps: () => Object.entries(counts.keySteps).map(([step, count]) => [[step], count] as const),
    ...serviceCollectors({ ...parts, trust: verification.trust, purgedRows: () => counts.purgedRows }),
  });
}

/** The metrics of a sidecar. */
export function sidecarMetrics(
  parts: ProcessParts & {
    readonly calls: CallCounts;
    readonly listeners: Listeners;
    readonly verification: VerificationParts;
    readonly isConnected: () => boolean;
    readonly certificateExpiry: () => number | null;
  },
): Metrics {
  return metricsOf(parts, {
    ...callCollectors(parts.calls),
    ...listenerCollectors(parts.listeners),
    ...trustOf(parts.verification),
    upstreamConnected: () => Number(parts.isConnected()),
    certificateExpiry: parts.certificateExpiry,
  });
}

function trustOf({ trust, cache, maxStalenessMs }: VerificationParts): Collectors {
  return trustCollectors(trust, cache, maxStalenessMs);
}

function metricsOf({ linesLost }: ProcessParts, collectors: Collectors): Metrics {
  const meter = new ProcessMeter();
  const all = { ...collectors, ...meter.collectors, linesLost };
  return { text: () => expose(all), stop: () => meter.stop() };
}
