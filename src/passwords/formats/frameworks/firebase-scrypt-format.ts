import { createCipheriv } from 'node:crypto';

import { decodeCanonicalBase64 } from '../base64.ts';
import type { PasswordFormat } from '../password-format.ts';
import { scryptHash } from '../scrypt-hash.ts';

const PATTERN =
  /^\$firebase-scrypt\$ln=([1-9]\d?),r=([1-9]\d{0,3}),p=([1-9]\d{0,3})\$([A-Za-z0-9+/]{2,342})\$([A-Za-z0-9+/]{22,86})$/;

/**
 * Firebase's modified scrypt. Firebase derives a key with scrypt, and stores the project's signer key encrypted under it
 * with AES-256 in counter mode. What encrypts is a key stream that depends on the password only, and the import takes the
 * signer key off it: `$firebase-scrypt$ln=…,r=…,p=…$salt$stream`, the salt with the salt separator. So a login needs no
 * signer key, and the database has none.
 */
export const firebaseScryptFormat: PasswordFormat = {
  name: 'firebase scrypt',

  recognises: (stored) => /^\$(?:firebase-scrypt|fbscrypt|firescrypt)\$/.test(stored),

  read(stored) {
    const [, ln, r, p, salt = '', expected = ''] = PATTERN.exec(stored) ?? [];
    if (ln === undefined) {
      return 'is not a well-formed Firebase hash with its signer key (sk) and salt separator (ss); see docs/migrating.md';
    }
    return scryptHash({
      n: 2 ** Number(ln),
      r: Number(r),
      p: Number(p),
      salt: decodeCanonicalBase64(salt, 'unpadded'),
      expected: decodeCanonicalBase64(expected, 'unpadded'),
      finish: (key, length) =>
        createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length)),
    });
  },

  exampleHash: (kind) => `${kind}${'A'.repeat(22)}$${'A'.repeat(86)}`,
};
