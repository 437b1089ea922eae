import type { NamedRow } from './goals.mjs';
import type { MeasuredRow } from './measured-row.mjs';

export interface Facts {
  readonly date: string;
  readonly cores: number;
  readonly node: string;
  readonly pairs: number;
}

export function summary(
  rows: readonly (MeasuredRow | (NamedRow & { readonly failed?: string }))[],
  run: {
    readonly runs: readonly Facts[];
    readonly plots: readonly { readonly file: string; readonly title: string }[];
    readonly reasons: Readonly<Record<string, string>>;
  },
): string;
/** @throws Error when the page has no markers */
export function withTable(page: string, table: string): string;
export function tableOf(page: string): string;
