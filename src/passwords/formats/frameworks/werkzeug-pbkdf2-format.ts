import type { PasswordFormat } from '../password-format.ts';
import { zeroDigest, pbkdf2Hash, type Pbkdf2Digest } from '../pbkdf2-hash.ts';

const PATTERN = /^pbkdf2:sha(?:1|256|512):([1-9]\d{0,9})\$([A-Za-z0-9]{1,128})\$((?:[0-9a-f]{2}){20,64})$/;

/**
 * PBKDF2 as Werkzeug (Flask) writes it: `pbkdf2:sha256:iterations$salt$digest`. The salt is plain text, the digest
 * lower-case hexadecimal.
 */
export function werkzeugPbkdf2Format(digest: Pbkdf2Digest): PasswordFormat {
  const ident = `pbkdf2:${digest}`;
  return {
    name: ident,

    recognises: (stored) => stored.startsWith(`${ident}:`),

    read(stored) {
      const [, iterations, salt = '', expected = ''] = PATTERN.exec(stored) ?? [];
      if (iterations === undefined) return `is not a well-formed ${ident} hash as Werkzeug writes it`;
      return pbkdf2Hash({
        digest,
        iterations,
        salt: Buffer.from(salt),
        expected: Buffer.from(expected, 'hex'),
      });
    },

    exampleHash: (kind) => `${kind}salt$${zeroDigest(digest).toString('hex')}`,
  };
}
