import type { DurationHistogram } from '../../domain/histogram.ts';

/** Which process answers. */
export interface Instance {
  /** Random, new at each start. */
  readonly id: string;
  readonly startedAt: Date;
  /** The version of Postern. */
  readonly version: string;
}

/** The state of this instance, and its counters since its start: the values of its metrics at one moment. */
export interface InstanceReading {
  readonly logins: {
    readonly ok: number;
    readonly wrongCredentials: number;
    readonly secondFactorRequired: number;
    readonly throttled: number;
    readonly overloaded: number;
    readonly other: number;
  };
  readonly refreshes: number;
  readonly revocations: number;
  readonly verifications: { readonly ok: number; readonly refused: number; readonly cacheHits: number };
  readonly rpcs: number;
  readonly revocationDelays: DurationHistogram;
  readonly watchers: number;
  readonly trust: {
    /** Infinity before the first keys and revocations. */
    readonly ageMs: number;
    readonly maxStalenessMs: number;
  };
  readonly hashQueue: {
    readonly running: number;
    readonly waiting: number;
    readonly capacity: number;
    readonly averageMs: number;
  };
  readonly database: {
    readonly reachable: boolean;
    readonly circuitOpen: boolean;
    readonly connectionsUsed: number;
    readonly connectionsMax: number;
    /** Null before the first reading of the database's clock. */
    readonly clockAheadMs: number | null;
  };
}
