import type { NamedRow } from './goals.mjs';
import type { Round, Spread, Verdict } from './pairs.mjs';

export interface MeasuredRow extends NamedRow {
  readonly measured: Spread;
  readonly control: Spread | null;
  readonly also: Record<string, Spread>;
  readonly verdict: Verdict;
  readonly curve?: readonly (Spread & { readonly at: number })[];
}

interface Plan {
  readonly quick: boolean;
}

export function ratioRow(
  row: NamedRow,
  rounds: readonly Round[],
  plan: Plan,
  options?: { readonly side?: string; readonly also?: readonly string[] },
): MeasuredRow;
export function curveRow(
  row: NamedRow,
  rounds: readonly Round[],
  plan: Plan,
  points: readonly (readonly [number, string])[],
): MeasuredRow;
export function figureRow(
  row: NamedRow,
  values: readonly number[],
  plan: Plan,
  also?: Record<string, Spread>,
): MeasuredRow;
