import type { Spread } from '../pairs.mjs';

/** The cost of one call, or of one second of an idle instance. */
interface Cost {
  readonly cpuMs: Spread;
  readonly postgresMs: Spread;
  readonly walBytes: Spread;
  readonly memoryMb: number;
}

/** What `bench/sizing/run.mjs` measures and keeps in bench/results/sizing.json. */
export interface Sizing {
  readonly date: string;
  readonly cores: number;
  readonly cpu: string;
  readonly node: string;
  /** The load average of the minute before. */
  readonly loadBefore: number;
  readonly idle: Cost;
  readonly login: Cost & { readonly sessionBytes: number; readonly auditBytes: number };
  readonly refresh: Cost & { readonly auditBytes: number };
  readonly connections: number;
  readonly verifiers: {
    /** CPU milliseconds of one verification, by way. */
    readonly ways: Readonly<Record<string, Spread>>;
    readonly sidecarIdleMb: number;
    readonly sidecarMb: number;
    readonly serviceMb: number;
  };
  readonly watchers: {
    readonly watchers: number;
    readonly memoryKib: number;
    readonly heartbeatCpuMs: number;
    readonly revocationCpuMs: Spread;
    readonly revocationMs: Spread;
  };
}

export interface Demand {
  readonly peak: Readonly<Record<'logins' | 'refreshes' | 'verifications', number>>;
  readonly cores: Readonly<Record<'logins' | 'refreshes' | 'verifications' | 'postgres', number>>;
  readonly diskBytes: Readonly<Record<'auditADay' | 'auditOfRefreshesADay' | 'sessions', number>>;
}

export function sizingTables(sizing: Sizing): string;
export function demandOf(sizing: Sizing, users: number): Demand;
/** @throws Error when the page has no markers */
export function withSizing(page: string, tables: string): string;
export function sizingOf(page: string): string;
