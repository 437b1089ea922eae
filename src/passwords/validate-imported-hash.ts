import { formatOf, formats, MAX_STORED_LENGTH } from './formats/format-table.ts';

export type ImportedHashResult =
  | {
      readonly ok: true;
      /** Name of the format, for counts and audit events. */
      readonly format: string;
    }
  /** One line that completes "the password hash …". It never quotes the hash, except for a cost. */
  | { readonly ok: false; readonly reason: string };

/**
 * Checks that a hash from another program can be stored and verified at login. Refuses malformed hashes, and hashes
 * whose cost would exhaust memory or CPU time at every login. Parses only, without hashing: about 1 µs.
 */
export function validateImportedHash(text: string): ImportedHashResult {
  if (text === '') return { ok: false, reason: 'is empty' };
  if (text.length > MAX_STORED_LENGTH)
    return { ok: false, reason: `is over ${MAX_STORED_LENGTH} characters long` };
  const format = formatOf(text);
  if (format === undefined) {
    return {
      ok: false,
      reason: `is in no known format; the known formats are ${formats.map(({ name }) => name).join(', ')}`,
    };
  }
  const parsed = format.read(text);
  if (typeof parsed === 'string') return { ok: false, reason: parsed };
  return { ok: true, format: format.name };
}
