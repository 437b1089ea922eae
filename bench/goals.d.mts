/** The goal for a median. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number } | { readonly below: number };

export type Figure = 'cpu' | 'throughput' | 'cost' | 'p99' | 'figure';

/** A line of the table, before it is measured. */
export interface Row {
  readonly id: string;
  readonly title: string;
  readonly baseline: string;
  readonly goal: Goal | null;
  readonly judgedBy: Figure;
  /** The unit of an absolute figure, with a leading space where one is written. */
  readonly unit?: string;
  /** The label of the x axis of a curve. */
  readonly axis?: string;
}

export interface Scenario {
  readonly name: string;
  readonly pinned: boolean;
  readonly rows: readonly Row[];
}

export type NamedRow = Row & { readonly scenario: string };

export const scenarios: readonly Scenario[];
export const allRows: readonly NamedRow[];
/** @throws Error when there is no such row */
export function rowOf(scenario: string, id?: string): NamedRow;
