import type { Link } from './tree.mjs';

export const TREES: readonly { readonly widths: readonly number[]; readonly links?: readonly Link[] }[];
export function fanOutTables(options: {
  readonly constants: unknown;
  readonly validation: unknown;
  readonly seed: number;
  readonly trees?: typeof TREES;
  readonly rates?: readonly number[];
  readonly herd?: readonly [number, number] | null;
  readonly report?: (line: string) => void;
}): string;
export function withFanOutTables(page: string, tables: string): string;
