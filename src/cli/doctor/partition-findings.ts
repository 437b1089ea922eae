import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import {
  type AuditPartition,
  hasAuditEventWithin,
  listAuditPartitions,
  lowestEventId,
} from '../../features/audit/audit-queries.ts';
import type { Finding } from './finding.ts';

/** The shortest month: right after a migration, the first partition has the current month and the next one. */
const MIN_AHEAD_MS = 28 * 86_400_000;

/** Whether the audit trail has partitions for the next month, and no event outside of them. Empty when all is well. */
export async function partitionFindings(database: Database, limitMs: number): Promise<Finding[]> {
  const budget = () => budgetOf(limitMs, Date.now());
  const partitions = await database.run(budget(), listAuditPartitions);
  const findings: Finding[] = [];
  if (!isCovered(partitions, lowestEventId(Date.now() + MIN_AHEAD_MS)))
    findings.push({
      check: 'schema',
      verdict: 'warning',
      message: 'the audit trail has no partition for the next month',
      advice:
        'The service makes partitions once a minute. Start it, or see the log of PostgreSQL for what refuses ' +
        'postern_make_partitions(), such as a long backup. Until then events go to audit_events_default, and none is lost.',
    });
  for (const range of rangesOutside(partitions)) {
    if (!(await database.run(budget(), (db) => hasAuditEventWithin(db, range)))) continue;
    findings.push({
      check: 'schema',
      verdict: 'warning',
      message: 'audit_events_default has audit events, whose ids say a time that no partition is for',
      advice:
        'Correct the clocks of the instances. If partitions were missing for a while, nothing is wrong: these events are ' +
        'listed as all others, and deleted by their age.',
    });
    break;
  }
  return findings;
}

/** @param partitions those with bounds, the oldest first */
export function isCovered(partitions: readonly AuditPartition[], id: string): boolean {
  return partitions.some(
    ({ fromId, toId }) => (fromId === null || fromId <= id) && toId !== null && id < toId,
  );
}

/**
 * The ids that belong to no partition with bounds.
 *
 * @param partitions those with bounds, the oldest first
 */
export function rangesOutside(partitions: readonly AuditPartition[]): AuditPartition[] {
  const ranges: AuditPartition[] = [];
  let fromId: string | null = null;
  for (const partition of partitions) {
    if (partition.fromId !== null && partition.fromId !== fromId)
      ranges.push({ fromId, toId: partition.fromId });
    fromId = partition.toId;
  }
  return [...ranges, { fromId, toId: null }];
}
