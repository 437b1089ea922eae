import { decodeCanonicalBase64 } from '../base64.ts';
import type { PasswordFormat } from '../password-format.ts';
import { zeroDigest, pbkdf2Hash, type Pbkdf2Digest } from '../pbkdf2-hash.ts';

const PATTERN =
  /^pbkdf2_sha(?:1|256)\$([1-9]\d{0,9})\$([\x21-\x23\x25-\x7e]{1,128})\$([A-Za-z0-9+/]{27,43}=)$/;

/** PBKDF2 as Django writes it: `ident$iterations$salt$digest`. The salt is plain text, the digest padded base64. */
export function djangoPbkdf2Format(ident: string, digest: Pbkdf2Digest): PasswordFormat {
  return {
    name: ident,

    recognises: (stored) => stored.startsWith(`${ident}$`),

    read(stored) {
      const [, iterations, salt = '', expected = ''] = PATTERN.exec(stored) ?? [];
      if (iterations === undefined) return `is not a well-formed ${ident} hash as Django writes it`;
      return pbkdf2Hash({
        digest,
        iterations,
        salt: Buffer.from(salt),
        expected: decodeCanonicalBase64(expected, 'padded'),
      });
    },

    exampleHash: (kind) => `${kind}salt$${zeroDigest(digest).toString('base64')}`,
  };
}
