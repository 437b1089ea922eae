import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';

let library: typeof import('@node-rs/argon2') | undefined;

/** Loads the library at its first use: it takes 30 ms and 3 MB, which code that only parses stored hashes can save. */
export function loadArgon2(): typeof import('@node-rs/argon2') {
  library ??= createRequire(import.meta.url)('@node-rs/argon2') as typeof import('@node-rs/argon2');
  return library;
}

/** Parameters of new hashes: the OWASP minimum. Raising a number upgrades each stored hash at its user's next login. */
export const ARGON2ID_PARAMETERS = {
  memoryKib: 19_456,
  passes: 2,
  lanes: 1,
  saltBytes: 16,
  tagBytes: 32,
} as const;

/** What every hash of `argon2idHash` begins with; an imported hash has other parameters, or looks like one of Postern's. */
const CURRENT_PREFIX = (({ memoryKib, passes, lanes }) =>
  `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$`)(ARGON2ID_PARAMETERS);

/** Whether `stored` has the parameters of new hashes. Such a hash is taken for one that Postern made, of NFC text. */
export function isCurrentKind(stored: string): boolean {
  return stored.startsWith(CURRENT_PREFIX);
}

/**
 * Hashes a password and returns the PHC string `$argon2id$v=19$m=…,t=…,p=…$salt$tag`. Blocks the thread for about
 * 10 ms, so only the hashing threads call it. The library's synchronous functions do not use the libuv pool.
 */
export function argon2idHash(password: string): string {
  return loadArgon2().hashSync(password, {
    memoryCost: ARGON2ID_PARAMETERS.memoryKib,
    timeCost: ARGON2ID_PARAMETERS.passes,
    parallelism: ARGON2ID_PARAMETERS.lanes,
    outputLen: ARGON2ID_PARAMETERS.tagBytes,
    salt: randomBytes(ARGON2ID_PARAMETERS.saltBytes),
  });
}

/** Whether `phc` is a hash of `password`. Throws when the library cannot parse `phc`. */
export function argon2idVerify(phc: string, password: string): boolean {
  return loadArgon2().verifySync(phc, password);
}

/**
 * Does a fraction of the work of one hash with current parameters and drops the result, to fill up time.
 *
 * @param fraction 0 to 0.5
 */
export function argon2idWork(fraction: number): void {
  const { memoryKib, passes, saltBytes } = ARGON2ID_PARAMETERS;
  loadArgon2().hashRawSync('', {
    memoryCost: Math.max(8, Math.round(memoryKib * passes * fraction)),
    timeCost: 1,
    parallelism: 1,
    salt: Buffer.alloc(saltBytes),
  });
}
