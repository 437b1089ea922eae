import { decodeCanonicalBase64 } from './base64.ts';
import type { PasswordFormat } from './password-format.ts';
import { scryptHash } from './scrypt-hash.ts';

const PATTERN =
  /^\$scrypt\$ln=([1-9]\d?),r=([1-9]\d{0,3}),p=([1-9]\d{0,3})\$([A-Za-z0-9+/]{2,342})\$([A-Za-z0-9+/]{22,86})$/;

/** scrypt as a PHC string, as passlib and npm's `phc` packages write it: N is 2^ln; base64 without padding. */
export const phcScryptFormat: PasswordFormat = {
  name: 'scrypt',

  recognises: (stored) => stored.startsWith('$scrypt$'),

  read(stored) {
    const [, ln, r, p, salt = '', expected = ''] = PATTERN.exec(stored) ?? [];
    if (ln === undefined) return 'is not a well-formed scrypt PHC string';
    return scryptHash({
      n: 2 ** Number(ln),
      r: Number(r),
      p: Number(p),
      salt: decodeCanonicalBase64(salt, 'unpadded'),
      expected: decodeCanonicalBase64(expected, 'unpadded'),
    });
  },

  exampleHash: (kind) => `${kind}${'A'.repeat(22)}$${'A'.repeat(43)}`,
};
