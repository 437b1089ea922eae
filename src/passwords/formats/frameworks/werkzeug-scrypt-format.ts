import type { PasswordFormat } from '../password-format.ts';
import { scryptHash } from '../scrypt-hash.ts';

const PATTERN =
  /^scrypt:([1-9]\d{0,9}):([1-9]\d{0,3}):([1-9]\d{0,3})\$([A-Za-z0-9]{1,128})\$((?:[0-9a-f]{2}){64})$/;

/**
 * scrypt as Werkzeug (Flask) writes it: `scrypt:N:r:p$salt$digest`. The salt is plain text, the digest lower-case
 * hexadecimal.
 */
export const werkzeugScryptFormat: PasswordFormat = {
  name: 'werkzeug scrypt',

  recognises: (stored) => stored.startsWith('scrypt:'),

  read(stored) {
    const [, n, r, p, salt = '', expected = ''] = PATTERN.exec(stored) ?? [];
    if (n === undefined) return 'is not a well-formed scrypt hash as Werkzeug writes it';
    return scryptHash({
      n: Number(n),
      r: Number(r),
      p: Number(p),
      salt: Buffer.from(salt),
      expected: Buffer.from(expected, 'hex'),
    });
  },

  exampleHash: (kind) => `${kind}salt$${'00'.repeat(64)}`,
};
