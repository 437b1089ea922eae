import { argon2Format } from './argon2-format.ts';
import { bcryptFormat } from './bcrypt-format.ts';
import { djangoPbkdf2Format } from './django-pbkdf2-format.ts';
import { djangoScryptFormat } from './django-scrypt-format.ts';
import { passlibPbkdf2Format } from './passlib-pbkdf2-format.ts';
import type { HashDamage, PasswordFormat, StoredHash } from './password-format.ts';
import { phcScryptFormat } from './phc-scrypt-format.ts';
import { werkzeugPbkdf2Format } from './werkzeug-pbkdf2-format.ts';
import { werkzeugScryptFormat } from './werkzeug-scrypt-format.ts';

/** Every format that a login can check. The first is the one that new hashes are written in. */
export const formats: readonly PasswordFormat[] = [
  argon2Format('argon2id'),
  argon2Format('argon2i'),
  argon2Format('argon2d'),
  bcryptFormat,
  passlibPbkdf2Format('pbkdf2', 'sha1'),
  passlibPbkdf2Format('pbkdf2-sha256', 'sha256'),
  passlibPbkdf2Format('pbkdf2-sha512', 'sha512'),
  djangoPbkdf2Format('pbkdf2_sha1', 'sha1'),
  djangoPbkdf2Format('pbkdf2_sha256', 'sha256'),
  werkzeugPbkdf2Format('sha1'),
  werkzeugPbkdf2Format('sha256'),
  werkzeugPbkdf2Format('sha512'),
  phcScryptFormat,
  djangoScryptFormat,
  werkzeugScryptFormat,
];

/** No format needs more; a longer text is damage, and is not looked at. */
export const MAX_STORED_LENGTH = 512;

/** The format that claims a stored text. */
export function formatOf(stored: string): PasswordFormat | undefined {
  return formats.find((format) => format.claims(stored));
}

/** Reads a stored text by the format that claims it, without doing the work; says why when it cannot be checked. */
export function readStoredHash(stored: string): StoredHash | HashDamage {
  const format = formatOf(stored);
  if (format === undefined) return 'unknown-format';
  const read = stored.length <= MAX_STORED_LENGTH ? format.read(stored) : 'is too long';
  return typeof read === 'string' ? 'damaged' : read;
}
