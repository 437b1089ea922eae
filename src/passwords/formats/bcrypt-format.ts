import { compareSync } from 'bcryptjs';
import type { PasswordFormat } from './password-format.ts';

/**
 * Cost, then 16 bytes of salt and 23 bytes of digest in bcrypt's own base64. The last character of each has unused
 * bits, which libraries leave zero, so only those characters are accepted. `$2x$` is not accepted: it marks hashes of a
 * library with a sign extension bug.
 */
const BCRYPT_PATTERN = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/;

/** The minimum is that of the algorithm; the maximum takes about a second. */
const COSTS = { min: 4, max: 14 };

/** In hashes with current parameters: bcryptjs at cost 10 takes 72 ms, one such hash 10 to 20 ms. */
const WORK_AT_COST_10 = 7;

/**
 * bcrypt as `$2a$`, `$2b$` and `$2y$`, which are equivalent for passwords without NUL. bcrypt uses only the first 72
 * bytes of UTF-8, and the libraries that made these hashes truncated longer passwords. Users still type the whole
 * password, so it is truncated here too. The first login stores an argon2id hash, which uses every byte.
 */
export const bcryptFormat: PasswordFormat = {
  name: 'bcrypt',

  recognises: (stored) => /^\$2[a-z]?\$/.test(stored),

  read(stored) {
    const [, costText] = BCRYPT_PATTERN.exec(stored) ?? [];
    if (costText === undefined) return 'is not a well-formed bcrypt hash of the kinds 2a, 2b or 2y';
    const cost = Number(costText);
    if (cost > COSTS.max) return `has cost ${cost}; the maximum for bcrypt is ${COSTS.max}`;
    if (cost < COSTS.min) return `has cost ${cost}; the minimum for bcrypt is ${COSTS.min}`;
    return {
      work: WORK_AT_COST_10 * 2 ** (cost - 10),
      needsRehash: true,
      // Some libraries end the password at NUL: they would accept the right password, NUL and anything after it.
      verify: (password) => !password.includes('\0') && compareSync(password, stored),
    };
  },

  exampleHash: (kind) => `${kind}${'.'.repeat(53)}`,
};
