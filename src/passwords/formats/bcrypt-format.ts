import { bcryptHash } from './bcrypt-hash.ts';
import type { PasswordFormat } from './password-format.ts';

/**
 * bcrypt as `$2a$`, `$2b$` and `$2y$`, which are equivalent for passwords without NUL. bcrypt uses only the first 72
 * bytes of UTF-8, and the libraries that made these hashes truncated longer passwords. Users still type the whole
 * password, so it is truncated here too. The first login stores an argon2id hash, which uses every byte.
 */
export const bcryptFormat: PasswordFormat = {
  name: 'bcrypt',

  recognises: (stored) => /^\$2[a-z]?\$/.test(stored),

  read(stored) {
    // Some libraries end the password at NUL: they would accept the right password, NUL and anything after it.
    const inputs = { max: 1, of: (password: string) => (password.includes('\0') ? [] : [password]) } as const;
    return bcryptHash(stored, inputs) ?? 'is not a well-formed bcrypt hash of the kinds 2a, 2b or 2y';
  },

  exampleHash: (kind) => `${kind}${'.'.repeat(53)}`,
};
