import type {
  OverviewDatabase,
  OverviewDelays,
  OverviewHashQueue,
  OverviewTrust,
} from '../../generated/postern/v1/admin.ts';
import type { DurationHistogram } from '../../domain/histogram.ts';
import { getOverview } from '../../features/overview/get-overview.ts';
import type { InstanceReading } from '../../features/overview/instance-reading.ts';
import type { AdminDependencies, AdminHandlers } from './admin-dependencies.ts';

/** The RPC that shows the state of the service. */
export function adminOverview({ overview }: AdminDependencies): Pick<AdminHandlers, 'getOverview'> {
  return {
    async getOverview() {
      const { instance, reading, totals } = await getOverview(overview);
      return {
        instanceId: instance.id,
        startedAt: instance.startedAt,
        answeredAt: new Date(),
        version: instance.version,
        totals: totals ?? undefined,
        logins: reading.logins,
        refreshes: reading.refreshes,
        revocations: reading.revocations,
        verifications: reading.verifications,
        rpcs: reading.rpcs,
        revocationDelays: delaysMessage(reading.revocationDelays),
        watchers: reading.watchers,
        trust: trustMessage(reading.trust),
        hashQueue: hashQueueMessage(reading.hashQueue),
        database: databaseMessage(reading.database),
      };
    },
  };
}

function delaysMessage(histogram: DurationHistogram): OverviewDelays {
  return {
    boundsSeconds: [...histogram.bounds],
    cumulativeCounts: histogram.cumulative(),
    sumSeconds: histogram.sumSeconds,
  };
}

function trustMessage({ ageMs, maxStalenessMs }: InstanceReading['trust']): OverviewTrust {
  return {
    ageSeconds: Number.isFinite(ageMs) ? ageMs / 1000 : undefined,
    maxStalenessSeconds: maxStalenessMs / 1000,
  };
}

function hashQueueMessage({ averageMs, ...queue }: InstanceReading['hashQueue']): OverviewHashQueue {
  return { ...queue, averageSeconds: averageMs / 1000 };
}

function databaseMessage({ clockAheadMs, ...database }: InstanceReading['database']): OverviewDatabase {
  return { ...database, clockAheadSeconds: clockAheadMs === null ? undefined : clockAheadMs / 1000 };
}
