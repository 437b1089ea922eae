import type { SecondFactorName } from '../../domain/rejection.ts';
import type { KeyStep } from '../../features/signing-keys/key-lifecycle.ts';
import type { InstanceReading } from '../../features/overview/instance-reading.ts';
import { CallCounts } from './call-counts.ts';
import type { VerifiedTokenCache } from '../../tokens/verify/verified-token-cache.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { callCollectors, type Listeners, listenerCollectors, loginCollectors } from './call-collectors.ts';
import { expose, type Collectors } from './exposition.ts';
import { exposeOpenMetrics } from './open-metrics.ts';
import type { ExportFailures } from '../otlp/export-failures.ts';
import { readInstance } from './instance-reading.ts';
import { ProcessMeter } from './process-collectors.ts';
import { type ServiceParts, serviceCollectors } from './service-collectors.ts';
import { trustCollectors } from './trust-collectors.ts';

/** Counters that the service increments. All other metrics are read from their source at each scrape. */
export class ServiceCounts {
  readonly calls = new CallCounts();
  /** Refreshes that returned the same successor again. */
  repeats = 0;
  /** Second factors that were checked in Login and StepUp. */
  readonly secondFactors: Record<SecondFactorName, { ok: number; refused: number }> = {
    totp: { ok: 0, refused: 0 },
    recovery: { ok: 0, refused: 0 },
    passkey: { ok: 0, refused: 0 },
  };
  purgedRows = 0;
  /** Steps of signing key rotation made by this process. */
  readonly keySteps: Record<KeyStep['kind'], number> = { prepare: 0, activate: 0, remove: 0 };
}

interface VerificationParts {
  readonly trust: TrustBundle;
  readonly cache: VerifiedTokenCache | null;
  readonly maxStalenessMs: number;
}

/** The sources of the metrics that every process has, besides its own memory and CPU. */
interface ProcessParts {
  /** The number of log lines that were dropped. */
  readonly linesLost: () => number;
  readonly exportFailures: ExportFailures;
}

/** The metrics of a process, until `stop`. */
export interface Metrics {
  /** The body of `/metrics`. */
  readonly text: () => string;
  /** The same in the format of OpenMetrics, with exemplars. */
  readonly openMetrics: () => string;
  /** The sources, for an exporter. */
  readonly collectors: Collectors;
  stop(): void;
}

/** Those of the central service, which shows some of them in GetOverview as well. */
export interface ServiceMetrics extends Metrics {
  readonly readInstance: () => InstanceReading;
}

/** The metrics of the central service. */
export function serviceMetrics(
  parts: ProcessParts &
    Omit<ServiceParts, 'trust' | 'purgedRows'> & {
      readonly counts: ServiceCounts;
      readonly listeners: Listeners;
      readonly verification: VerificationParts;
    },
): ServiceMetrics {
  const { counts, verification } = parts;
  const metrics = createMetrics(parts, {
    ...callCollectors(counts.calls),
    ...listenerCollectors(parts.listeners),
    ...loginCollectors(counts.calls, () => counts.repeats),
    ...collectTrust(verification),
    secondFactors: () =>
      Object.entries(counts.secondFactors).flatMap(([kind, outcomes]) =>
        Object.entries(outcomes).map(([outcome, count]) => [[kind, outcome], count] as const),
      ),
    keySteps: () => Object.entries(counts.keySteps).map(([step, count]) => [[step], count] as const),
    ...serviceCollectors({ ...parts, trust: verification.trust, purgedRows: () => counts.purgedRows }),
  });
  return { ...metrics, readInstance: () => readInstance({ ...parts, ...verification, calls: counts.calls }) };
}

/** The metrics of a sidecar. */
export function sidecarMetrics(
  parts: ProcessParts & {
    readonly calls: CallCounts;
    readonly listeners: Listeners;
    readonly verification: VerificationParts;
    readonly isConnected: () => boolean;
    /** Null unless it is a relay. */
    readonly watchers: (() => number) | null;
    readonly certificateExpiry: () => number | null;
  },
): Metrics {
  return createMetrics(parts, {
    ...callCollectors(parts.calls),
    ...listenerCollectors(parts.listeners),
    ...collectTrust(parts.verification),
    upstreamConnected: () => Number(parts.isConnected()),
    ...(parts.watchers && { watchers: parts.watchers }),
    certificateExpiry: parts.certificateExpiry,
  });
}

function collectTrust({ trust, cache, maxStalenessMs }: VerificationParts): Collectors {
  return trustCollectors(trust, cache, maxStalenessMs);
}

function createMetrics({ linesLost, exportFailures }: ProcessParts, collectors: Collectors): Metrics {
  const meter = new ProcessMeter();
  const all = {
    ...collectors,
    ...meter.collectors,
    linesLost,
    exportFailures: () => exportFailures.counts,
  };
  return {
    text: () => expose(all),
    openMetrics: () => exposeOpenMetrics(all),
    collectors: all,
    stop: () => meter.stop(),
  };
}
