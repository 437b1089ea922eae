import { argon2idFormat } from './argon2id-format.ts';
import type { HashDamage, PasswordFormat, StoredHash } from './password-format.ts';

/** Every format that a login can check. The first is the one that new hashes are written in. */
const formats: readonly PasswordFormat[] = [argon2idFormat];

/** No format needs more; a longer text is damage, and is not looked at. */
const maxStoredLength = 512;

/** Reads a stored text by the format that claims it, without doing the work; says why when it cannot be checked. */
export function readStoredHash(stored: string): StoredHash | HashDamage {
  const format = formats.find((candidate) => candidate.claims(stored));
  if (format === undefined) return 'unknown-format';
  return (stored.length <= maxStoredLength ? format.read(stored) : undefined) ?? 'damaged';
}
