import type { PasswordFormat } from './password-format.ts';
import { scryptHash } from './scrypt-hash.ts';

const TEXT =
  /^scrypt:([1-9]\d{0,9}):([1-9]\d{0,3}):([1-9]\d{0,3})\$([A-Za-z0-9]{1,128})\$((?:[0-9a-f]{2}){64})$/;

/** Werkzeug's (Flask's) scrypt: `scrypt:N:r:p$salt$digest`, the salt the text itself, the digest hexadecimal. */
export const werkzeugScryptFormat: PasswordFormat = {
  name: 'werkzeug scrypt',

  claims: (stored) => stored.startsWith('scrypt:'),

  read(stored) {
    const [, n, r, p, salt = '', expected = ''] = TEXT.exec(stored) ?? [];
    if (n === undefined) return 'is not a well-formed scrypt hash as Werkzeug writes it';
    return scryptHash({
      n: Number(n),
      r: Number(r),
      p: Number(p),
      salt: Buffer.from(salt),
      expected: Buffer.from(expected, 'hex'),
    });
  },

  complete: (kind) => `${kind}salt$${'00'.repeat(64)}`,
};
