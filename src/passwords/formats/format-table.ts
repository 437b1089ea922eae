import { argon2Format } from './argon2-format.ts';
import { bcryptFormat } from './bcrypt-format.ts';
import {
  djangoBcryptSha256Format,
  passlibBcryptSha256Format,
  wordpressBcryptFormat,
} from './frameworks/digested-bcrypt-format.ts';
import { djangoPbkdf2Format } from './frameworks/django-pbkdf2-format.ts';
import { djangoScryptFormat } from './frameworks/django-scrypt-format.ts';
import { firebaseScryptFormat } from './frameworks/firebase-scrypt-format.ts';
import { passlibPbkdf2Format } from './frameworks/passlib-pbkdf2-format.ts';
import type { HashDamage, PasswordFormat, StoredHash } from './password-format.ts';
import { phcScryptFormat } from './phc-scrypt-format.ts';
import { drupalPhpassFormat, phpbbPhpassFormat, wordpressPhpassFormat } from './frameworks/phpass-format.ts';
import { saltedShaFormat } from './salted-sha-format.ts';
import { shaCryptFormat } from './sha-crypt-format.ts';
import { werkzeugPbkdf2Format } from './frameworks/werkzeug-pbkdf2-format.ts';
import { werkzeugScryptFormat } from './frameworks/werkzeug-scrypt-format.ts';

/** Every format that a login can verify. New hashes use the first one. */
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
  firebaseScryptFormat,
  passlibBcryptSha256Format,
  djangoBcryptSha256Format,
  wordpressBcryptFormat,
  wordpressPhpassFormat,
  phpbbPhpassFormat,
  drupalPhpassFormat,
  shaCryptFormat('$5$', 'sha256-crypt', 'sha256'),
  shaCryptFormat('$6$', 'sha512-crypt', 'sha512'),
  saltedShaFormat('ssha', 'sha1'),
  saltedShaFormat('ssha256', 'sha256'),
  saltedShaFormat('ssha512', 'sha512'),
];

/** Characters. No format needs more; longer text is malformed and is not parsed. */
export const MAX_STORED_LENGTH = 512;

/** The format whose prefix `stored` has. */
export function formatOf(stored: string): PasswordFormat | undefined {
  return formats.find((format) => format.recognises(stored));
}

/** Parses a stored hash without hashing. Returns the kind of damage when the hash cannot be verified. */
export function readStoredHash(stored: string): StoredHash | HashDamage {
  const format = formatOf(stored);
  if (format === undefined) return 'unknown-format';
  if (stored.length > MAX_STORED_LENGTH) return 'damaged';
  const parsed = format.read(stored);
  return typeof parsed === 'string' ? 'damaged' : parsed;
}
