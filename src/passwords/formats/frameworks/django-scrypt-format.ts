import { decodeCanonicalBase64 } from '../base64.ts';
import type { PasswordFormat } from '../password-format.ts';
import { scryptHash } from '../scrypt-hash.ts';

const PATTERN =
  /^scrypt\$([1-9]\d{0,9})\$([\x21-\x23\x25-\x7e]{1,128})\$([1-9]\d{0,3})\$([1-9]\d{0,3})\$([A-Za-z0-9+/]{86}==)$/;

/** scrypt as Django writes it: `scrypt$N$salt$r$p$digest`. The salt is plain text, the digest padded base64. */
export const djangoScryptFormat: PasswordFormat = {
  name: 'django scrypt',

  recognises: (stored) => stored.startsWith('scrypt$'),

  read(stored) {
    const [, n, salt = '', r, p, expected = ''] = PATTERN.exec(stored) ?? [];
    if (n === undefined) return 'is not a well-formed scrypt hash as Django writes it';
    return scryptHash({
      n: Number(n),
      r: Number(r),
      p: Number(p),
      salt: Buffer.from(salt),
      expected: decodeCanonicalBase64(expected, 'padded'),
    });
  },

  // The salt is in the middle, so a kind is `scrypt$N$$r$p$`.
  exampleHash: (kind) => `${kind.replace('$$', '$salt$')}${Buffer.alloc(64).toString('base64')}`,
};
