import { formatOf, readStoredHash } from '../formats/format-table.ts';

/**
 * A kind of stored hashes that takes longer to verify than a hash with current parameters. A kind is a stored hash
 * without salt and digest, such as `$2b$12$`.
 */
export interface SlowKind {
  readonly kind: string;
  readonly format: string;
  /** Estimated cost of a verification, in hashes with current parameters. */
  readonly work: number;
  /** A well-formed hash of this kind whose password nobody knows. */
  readonly example: string;
}

/**
 * Returns the most expensive kind of each format, if it is slower than a hash with current parameters. Kinds that no
 * format can read are left out: a login does not verify them either.
 */
export function slowestOfEachFormat(kinds: readonly string[]): readonly SlowKind[] {
  const slowest = new Map<string, SlowKind>();
  for (const kind of kinds) {
    const format = formatOf(kind);
    if (format === undefined) continue;
    const example = format.exampleHash(kind);
    const parsed = readStoredHash(example);
    if (typeof parsed === 'string' || parsed.work <= 1) continue;
    if (parsed.work <= (slowest.get(format.name)?.work ?? 0)) continue;
    slowest.set(format.name, { kind, format: format.name, work: parsed.work, example });
  }
  return [...slowest.values()];
}
