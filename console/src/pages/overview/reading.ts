import type { Overview } from '../../../../src/generated/postern/v1/admin.ts';
import type { Wire } from '../../wire.ts';

export const loginOutcomes = [
  'ok',
  'wrongCredentials',
  'secondFactorRequired',
  'throttled',
  'overloaded',
  'other',
] as const;
export type LoginOutcome = (typeof loginOutcomes)[number];

/** A histogram of durations: how many were up to each bound (seconds), and finally all of them. */
export interface Histogram {
  readonly bounds: readonly number[];
  readonly cumulative: readonly number[];
  readonly sumSeconds: number;
}

/** An answer of GetOverview with all its members. */
export interface Reading {
  readonly instanceId: string;
  /** RFC 3339 */
  readonly startedAt: string;
  readonly uptimeMs: number;
  readonly version: string;
  /** Null while the database cannot be read. */
  readonly totals: Readonly<Record<'users' | 'liveSessions' | 'serviceAccounts', Total>> | null;
  readonly logins: Readonly<Record<LoginOutcome, number>>;
  readonly refreshes: number;
  readonly revocations: number;
  readonly verifications: { readonly ok: number; readonly refused: number; readonly cacheHits: number };
  readonly delays: Histogram;
  readonly watchers: number;
  /** `ageSeconds` is null before the first keys and revocations. */
  readonly trust: { readonly ageSeconds: number | null; readonly maxStalenessSeconds: number };
  readonly hashQueue: {
    readonly running: number;
    readonly waiting: number;
    readonly capacity: number;
    readonly averageSeconds: number;
  };
  readonly database: {
    readonly reachable: boolean;
    readonly circuitOpen: boolean;
    readonly connectionsUsed: number;
    readonly connectionsMax: number;
    readonly clockAheadSeconds: number | null;
  };
}

export interface Total {
  readonly count: number;
  readonly isEstimate: boolean;
}

/** Members that have their default are absent in the answer. */
export function readingOf(answer: Wire<Overview>): Reading {
  const { totals, logins = {}, verifications = {}, revocationDelays = {} } = answer;
  const { trust = {}, hashQueue = {}, database = {} } = answer;
  const startedAt = answer.startedAt ?? '';
  return {
    instanceId: answer.instanceId ?? '',
    startedAt,
    uptimeMs: Math.max(0, Date.parse(answer.answeredAt ?? '') - Date.parse(startedAt)),
    version: answer.version ?? '',
    totals:
      totals === undefined
        ? null
        : {
            users: totalOf(totals.users),
            liveSessions: totalOf(totals.liveSessions),
            serviceAccounts: totalOf(totals.serviceAccounts),
          },
    logins: {
      ok: 0,
      wrongCredentials: 0,
      secondFactorRequired: 0,
      throttled: 0,
      overloaded: 0,
      other: 0,
      ...logins,
    },
    refreshes: answer.refreshes ?? 0,
    revocations: answer.revocations ?? 0,
    verifications: { ok: 0, refused: 0, cacheHits: 0, ...verifications },
    delays: {
      bounds: revocationDelays.boundsSeconds ?? [],
      cumulative: revocationDelays.cumulativeCounts ?? [],
      sumSeconds: revocationDelays.sumSeconds ?? 0,
    },
    watchers: answer.watchers ?? 0,
    trust: { ageSeconds: trust.ageSeconds ?? null, maxStalenessSeconds: trust.maxStalenessSeconds ?? 0 },
    hashQueue: { running: 0, waiting: 0, capacity: 0, averageSeconds: 0, ...hashQueue },
    database: {
      reachable: false,
      circuitOpen: false,
      connectionsUsed: 0,
      connectionsMax: 0,
      ...database,
      clockAheadSeconds: database.clockAheadSeconds ?? null,
    },
  };
}

function totalOf(total: Wire<{ count: number; isEstimate: boolean }> | undefined): Total {
  return { count: total?.count ?? 0, isEstimate: total?.isEstimate ?? false };
}
