import { compareSync } from 'bcryptjs';
import type { PasswordFormat } from './password-format.ts';

/**
 * Cost, 16 bytes of salt and 23 of digest in bcrypt's own base64, whose last letters have bits to spare: only the
 * letters with those bits clear are what a library writes. 2x marks hashes of a library with a sign fault.
 */
const BCRYPT_TEXT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/;

/** The lowest that the algorithm knows; the highest takes about a second. */
const COSTS = { min: 4, max: 14 };

/** bcryptjs at cost 10 takes 72 ms where a hash of ours takes 10 to 20. */
const WORK_AT_COST_10 = 7;

/**
 * bcrypt as `$2a$`, `$2b$` and `$2y$`, which are the same for passwords without NUL. bcrypt sees 72 bytes of UTF-8
 * and no more, and the libraries that made these hashes took longer passwords and cut them: their owners type
 * the whole, so the cut is made here too. The first login stores argon2id, for which every byte counts from then on.
 */
export const bcryptFormat: PasswordFormat = {
  name: 'bcrypt',

  claims: (stored) => /^\$2[a-z]?\$/.test(stored),

  read(stored) {
    const [, costText] = BCRYPT_TEXT.exec(stored) ?? [];
    if (costText === undefined) return 'is not a well-formed bcrypt hash of the kinds 2a, 2b or 2y';
    const cost = Number(costText);
    if (cost > COSTS.max) return `has cost ${cost}; the maximum for bcrypt is ${COSTS.max}`;
    if (cost < COSTS.min) return `has cost ${cost}; the minimum for bcrypt is ${COSTS.min}`;
    return {
      work: WORK_AT_COST_10 * 2 ** (cost - 10),
      needsRehash: true,
      // Some libraries end the password at NUL; to those `right NUL anything` would be right.
      verify: (password) => !password.includes('\0') && compareSync(password, stored),
    };
  },

  complete: (kind) => `${kind}${'.'.repeat(53)}`,
};
