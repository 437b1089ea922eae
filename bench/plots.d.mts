import type { NamedRow } from './goals.mjs';
import type { MeasuredRow } from './measured-row.mjs';

export interface Plot {
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

export function plotsOf(rows: readonly (MeasuredRow | NamedRow)[]): Plot[];
