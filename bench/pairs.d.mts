import type { Figure, Goal } from './goals.mjs';

/** What a server did during a sample; it has at least the values for the figure of its row. */
export interface Sample {
  readonly calls?: number;
  readonly seconds?: number;
  readonly cpuSeconds?: number;
  readonly p99Ms?: number;
}

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export type Round = Readonly<Record<string, Sample>>;
export type Verdict = 'met' | 'missed' | 'no verdict' | 'none';

export function sampleRounds(
  sides: Readonly<Record<string, () => Promise<Sample>>>,
  pairs: number,
  report?: (line: string) => void,
): Promise<Round[]>;
export function ratioOf(
  rounds: readonly Round[],
  figure: Exclude<Figure, 'figure'>,
  side?: string,
): { readonly ratio: Spread; readonly control: Spread };
export function verdictOf(
  figure: { readonly measured: Spread; readonly control: Spread | null },
  goal: Goal | null,
): Verdict;
export function meets(value: number, goal: Goal): boolean;
export function spread(values: readonly number[]): Spread;
