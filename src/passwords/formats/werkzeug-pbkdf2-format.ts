import type { PasswordFormat } from './password-format.ts';
import { anyDigest, pbkdf2Hash, type Pbkdf2Digest } from './pbkdf2-hash.ts';

const TEXT = /^pbkdf2:sha(?:1|256|512):([1-9]\d{0,9})\$([A-Za-z0-9]{1,128})\$((?:[0-9a-f]{2}){20,64})$/;

/** Werkzeug's (Flask's) PBKDF2: the salt is the text itself, the digest lower-case hexadecimal. */
export function werkzeugPbkdf2Format(digest: Pbkdf2Digest): PasswordFormat {
  const ident = `pbkdf2:${digest}`;
  return {
    name: ident,

    claims: (stored) => stored.startsWith(`${ident}:`),

    read(stored) {
      const [, iterations, salt = '', expected = ''] = TEXT.exec(stored) ?? [];
      if (iterations === undefined) return `is not a well-formed ${ident} hash as Werkzeug writes it`;
      return pbkdf2Hash({
        digest,
        iterations,
        salt: Buffer.from(salt),
        expected: Buffer.from(expected, 'hex'),
      });
    },

    complete: (kind) => `${kind}salt$${anyDigest(digest).toString('hex')}`,
  };
}
