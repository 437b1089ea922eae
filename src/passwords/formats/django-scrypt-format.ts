import { canonicalBase64 } from './canonical-base64.ts';
import type { PasswordFormat } from './password-format.ts';
import { scryptHash } from './scrypt-hash.ts';

const TEXT =
  /^scrypt\$([1-9]\d{0,9})\$([\x21-\x23\x25-\x7e]{1,128})\$([1-9]\d{0,3})\$([1-9]\d{0,3})\$([A-Za-z0-9+/]{86}==)$/;

/** Django's scrypt: `scrypt$N$salt$r$p$digest`, the salt the text itself, the digest base64 with padding. */
export const djangoScryptFormat: PasswordFormat = {
  name: 'django scrypt',

  claims: (stored) => stored.startsWith('scrypt$'),

  read(stored) {
    const [, n, salt = '', r, p, expected = ''] = TEXT.exec(stored) ?? [];
    if (n === undefined) return 'is not a well-formed scrypt hash as Django writes it';
    return scryptHash({
      n: Number(n),
      r: Number(r),
      p: Number(p),
      salt: Buffer.from(salt),
      expected: canonicalBase64(expected, 'padded'),
    });
  },

  // The salt stands in the middle: a kind is `scrypt$N$$r$p$`.
  complete: (kind) => `${kind.replace('$$', '$salt$')}${Buffer.alloc(64).toString('base64')}`,
};
