import { formatOf, MAX_STORED_LENGTH } from './formats/format-table.ts';
import { marksNoPassword, storedFormOf } from './formats/stored-form.ts';

export type ImportedHashResult =
  | {
      readonly ok: true;
      /** The text to store; null when the other program marks that the user has no password. */
      readonly stored: string | null;
      /** Name of the format, for counts and audit events; null when there is no password. */
      readonly format: string | null;
    }
  /** One line that completes "the password hash …". It never quotes the hash, except for a cost. */
  | { readonly ok: false; readonly reason: string };

/**
 * Checks that a hash from another program can be stored and verified at login, and takes off what frameworks write around
 * it. Refuses malformed hashes, and hashes whose cost would exhaust memory or CPU time at every login. Parses only,
 * without hashing: a few microseconds.
 */
export function validateImportedHash(text: string): ImportedHashResult {
  if (text === '') return { ok: false, reason: 'is empty; leave it out for a user without a password' };
  if (text.length > MAX_STORED_LENGTH)
    return { ok: false, reason: `is over ${MAX_STORED_LENGTH} characters long` };
  const stored = storedFormOf(text);
  if (marksNoPassword(stored)) return { ok: true, stored: null, format: null };
  const format = formatOf(stored);
  if (format === undefined) return { ok: false, reason: UNKNOWN_FORMAT };
  const parsed = format.read(stored);
  if (typeof parsed === 'string') return { ok: false, reason: parsed };
  return { ok: true, stored, format: format.name };
}

const UNKNOWN_FORMAT =
  'is in no known format; docs/migrating.md lists them. Leave it empty to import the user without a password, and ' +
  'create a reset token';
