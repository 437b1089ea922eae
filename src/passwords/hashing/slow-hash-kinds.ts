import { MAX_PASSWORD_FORMS } from '../password-policy.ts';
import { formatOf, readStoredHash } from '../formats/format-table.ts';

/**
 * A kind of stored hashes whose verification may take longer than that of a hash with current parameters, at least when
 * it is compared with several forms of a password. A kind is a stored hash without salt and digest, such as `$2b$12$`.
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
 * Several comparisons with a weaker hash count as slow from this sum of their work on: each has a cost of its own beside
 * the estimated work.
 */
const SLOW_SUM = 0.75;

/**
 * Whether comparing one hash with `forms` passwords takes longer than a hash with current parameters. What is quicker is
 * padded in the hashing thread.
 */
export function isSlow(work: number, forms: number): boolean {
  return forms === 1 ? work > 1 : work * forms > SLOW_SUM;
}

/**
 * Returns the most expensive kind of each format, if it is slow for the maximum number of forms. Kinds that no
 * format can read are left out: a login does not verify them either.
 */
export function slowestOfEachFormat(kinds: readonly string[]): readonly SlowKind[] {
  const slowest = new Map<string, SlowKind>();
  for (const kind of kinds) {
    const format = formatOf(kind);
    if (format === undefined) continue;
    const example = format.exampleHash(kind);
    const parsed = readStoredHash(example);
    if (typeof parsed === 'string' || !isSlow(parsed.work, MAX_PASSWORD_FORMS)) continue;
    if (parsed.work <= (slowest.get(format.name)?.work ?? 0)) continue;
    slowest.set(format.name, { kind, format: format.name, work: parsed.work, example });
  }
  return [...slowest.values()];
}
