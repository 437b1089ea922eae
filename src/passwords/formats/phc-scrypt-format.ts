import { canonicalBase64 } from './canonical-base64.ts';
import type { PasswordFormat } from './password-format.ts';
import { scryptHash } from './scrypt-hash.ts';

const TEXT =
  /^\$scrypt\$ln=([1-9]\d?),r=([1-9]\d{0,3}),p=([1-9]\d{0,3})\$([A-Za-z0-9+/]{2,342})\$([A-Za-z0-9+/]{22,86})$/;

/** scrypt as a PHC string, as passlib and the `phc` packages of npm write it: N is 2^ln, base64 without padding. */
export const phcScryptFormat: PasswordFormat = {
  name: 'scrypt',

  claims: (stored) => stored.startsWith('$scrypt$'),

  read(stored) {
    const [, ln, r, p, salt = '', expected = ''] = TEXT.exec(stored) ?? [];
    if (ln === undefined) return 'is not a well-formed scrypt PHC string';
    return scryptHash({
      n: 2 ** Number(ln),
      r: Number(r),
      p: Number(p),
      salt: canonicalBase64(salt, 'bare'),
      expected: canonicalBase64(expected, 'bare'),
    });
  },

  complete: (kind) => `${kind}${'A'.repeat(22)}$${'A'.repeat(43)}`,
};
