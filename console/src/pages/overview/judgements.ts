import type { LoginOutcome, Reading } from './reading.ts';
import { duration } from './units.ts';

/** A value of an instance, with what is normal, and whether it is. */
export interface Judgement {
  readonly level: 'good' | 'warn' | 'danger';
  /** The state in a word or two. */
  readonly word: string;
  readonly value: string;
  readonly normal: string;
}

/** Keys and revocations are read twice a second. */
const LATE_SECONDS = 2;
/** The alert rules of the repository warn from here. */
const OLD_SECONDS = 60;
/** The alert rules warn from here. */
const MAX_DELAY_MS = 1_000;
/** The clock skew that verifiers tolerate. */
const MAX_CLOCK_SECONDS = 5;

export function judgeTrust({ ageSeconds, maxStalenessSeconds }: Reading['trust']): Judgement {
  const normal = `Normal below ${LATE_SECONDS}\u00a0s. Verification stops at ${maxStalenessSeconds}\u00a0s.`;
  if (ageSeconds === null)
    return {
      level: 'danger',
      word: 'loading',
      value: 'not known yet',
      normal: `No token is verified yet. ${normal}`,
    };
  const value = duration(ageSeconds);
  if (ageSeconds > maxStalenessSeconds)
    return { level: 'danger', word: 'verification has stopped', value, normal };
  if (ageSeconds >= OLD_SECONDS) return { level: 'danger', word: 'old', value, normal };
  return ageSeconds >= LATE_SECONDS
    ? { level: 'warn', word: 'late', value, normal }
    : { level: 'good', word: 'normal', value, normal };
}

export function judgeHashQueue(queue: Reading['hashQueue']): Judgement {
  const { running, waiting, capacity, averageSeconds } = queue;
  const taken = running + waiting;
  const average = averageSeconds === 0 ? '' : ` A hash takes ${duration(averageSeconds)}.`;
  const common = {
    value: `${taken} of ${capacity}`,
    normal: `${running} running, ${waiting} waiting; normal below ${Math.ceil(capacity / 2)}.${average}`,
  };
  if (taken >= capacity) return { level: 'danger', word: 'full: logins are refused', ...common };
  return taken * 2 >= capacity
    ? { level: 'warn', word: 'busy', ...common }
    : { level: 'good', word: 'normal', ...common };
}

export function judgeDatabase(database: Reading['database']): Judgement {
  const { reachable, circuitOpen, connectionsUsed, connectionsMax, clockAheadSeconds } = database;
  const common = {
    value: `${connectionsUsed} of ${connectionsMax}`,
    normal: `Connections in use; normal below ${connectionsMax}. ${clockText(clockAheadSeconds)}`,
  };
  if (!reachable) return { level: 'danger', word: 'unreachable', ...common };
  if (circuitOpen) return { level: 'danger', word: 'does not answer', ...common };
  if (Math.abs(clockAheadSeconds ?? 0) > MAX_CLOCK_SECONDS)
    return { level: 'warn', word: 'clocks differ', ...common };
  return connectionsUsed >= connectionsMax
    ? { level: 'warn', word: 'busy', ...common }
    : { level: 'good', word: 'normal', ...common };
}

/** What is not normal about the delay of the last revocations; null otherwise. @param p99Ms null before the first one */
export function delayWarning(p99Ms: number | null): string | null {
  return p99Ms !== null && p99Ms > MAX_DELAY_MS ? 'slow' : null;
}

/** What is not normal about the logins between the last two answers; null otherwise. */
export function loginWarning(rates: Readonly<Record<LoginOutcome, number>> | undefined): string | null {
  if (rates === undefined) return null;
  if (rates.overloaded > 0) return 'overloaded';
  return rates.throttled > 0 ? 'throttled' : null;
}

function clockText(aheadSeconds: number | null): string {
  if (aheadSeconds === null) return 'The difference of the clocks is not known yet.';
  const direction = aheadSeconds < 0 ? 'behind' : 'ahead of';
  return `This instance's clock is ${duration(Math.abs(aheadSeconds))} ${direction} the database's; normal below ${MAX_CLOCK_SECONDS}\u00a0s.`;
}
