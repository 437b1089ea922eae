import { decodeAb64, encodeAb64 } from '../base64.ts';
import type { PasswordFormat } from '../password-format.ts';
import { zeroDigest, pbkdf2Hash, type Pbkdf2Digest } from '../pbkdf2-hash.ts';

const PATTERN =
  /^\$pbkdf2(?:-sha256|-sha512)?\$([1-9]\d{0,9})\$([A-Za-z0-9./]{1,342})\$([A-Za-z0-9./]{27,86})$/;

/** PBKDF2 as passlib writes it: `$ident$iterations$salt$digest`, in base64 without padding and with `.` for `+`. */
export function passlibPbkdf2Format(ident: string, digest: Pbkdf2Digest): PasswordFormat {
  return {
    name: ident,

    recognises: (stored) => stored.startsWith(`$${ident}$`),

    read(stored) {
      const [, iterations, salt = '', expected = ''] = PATTERN.exec(stored) ?? [];
      if (iterations === undefined) return `is not a well-formed ${ident} hash as passlib writes it`;
      return pbkdf2Hash({ digest, iterations, salt: decodeAb64(salt), expected: decodeAb64(expected) });
    },

    exampleHash: (kind) => `${kind}${'A'.repeat(22)}$${encodeAb64(zeroDigest(digest))}`,
  };
}
