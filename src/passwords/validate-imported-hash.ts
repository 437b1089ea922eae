import { formatOf, formats, MAX_STORED_LENGTH } from './formats/format-table.ts';

export type ImportedHashResult =
  | {
      readonly ok: true;
      /** The format's name, for counts and the audit. */
      readonly format: string;
    }
  /** One line that continues "the password hash …"; never has text of the hash in it beyond a cost. */
  | { readonly ok: false; readonly reason: string };

/**
 * Whether a hash that another program made can be stored and checked at login. Does none of its work: about a
 * microsecond. Damaged texts, and such as would burn memory or time at each login, are refused here for good.
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
  const read = format.read(text);
  if (typeof read === 'string') return { ok: false, reason: read };
  return { ok: true, format: format.name };
}
