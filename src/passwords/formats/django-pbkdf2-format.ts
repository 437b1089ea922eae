import { canonicalBase64 } from './canonical-base64.ts';
import type { PasswordFormat } from './password-format.ts';
import { anyDigest, pbkdf2Hash, type Pbkdf2Digest } from './pbkdf2-hash.ts';

const TEXT = /^pbkdf2_sha(?:1|256)\$([1-9]\d{0,9})\$([\x21-\x23\x25-\x7e]{1,128})\$([A-Za-z0-9+/]{27,43}=)$/;

/** Django's PBKDF2: the salt is the text itself, the digest base64 with padding. */
export function djangoPbkdf2Format(ident: string, digest: Pbkdf2Digest): PasswordFormat {
  return {
    name: ident,

    claims: (stored) => stored.startsWith(`${ident}$`),

    read(stored) {
      const [, iterations, salt = '', expected = ''] = TEXT.exec(stored) ?? [];
      if (iterations === undefined) return `is not a well-formed ${ident} hash as Django writes it`;
      return pbkdf2Hash({
        digest,
        iterations,
        salt: Buffer.from(salt),
        expected: canonicalBase64(expected, 'padded'),
      });
    },

    complete: (kind) => `${kind}salt$${anyDigest(digest).toString('base64')}`,
  };
}
