import { formatOf, readStoredHash } from '../formats/format-table.ts';

/** A kind of stored hashes that takes longer to check than a hash of ours. */
export interface SlowKind {
  readonly kind: string;
  readonly format: string;
  /** Estimated, in hashes of ours. */
  readonly work: number;
  /** A readable hash of this kind that nobody has the password of. */
  readonly example: string;
}

/**
 * Of each format the dearest kind, when it is slower than a hash of ours. A kind is a stored text less salt and digest,
 * such as `$2b$12$`; kinds that no format reads are left out, since logins do not check them either.
 */
export function slowestOfEachFormat(kinds: readonly string[]): readonly SlowKind[] {
  const slowest = new Map<string, SlowKind>();
  for (const kind of kinds) {
    const format = formatOf(kind);
    if (format === undefined) continue;
    const example = format.complete(kind);
    const read = readStoredHash(example);
    if (typeof read === 'string' || read.work <= 1) continue;
    if (read.work <= (slowest.get(format.name)?.work ?? 0)) continue;
    slowest.set(format.name, { kind, format: format.name, work: read.work, example });
  }
  return [...slowest.values()];
}
