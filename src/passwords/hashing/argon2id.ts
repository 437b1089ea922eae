import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';

let library: typeof import('@node-rs/argon2') | undefined;

/** At the first use, since whoever only reads stored hashes would pay 30 ms and 3 MB for it. */
export function loadArgon2(): typeof import('@node-rs/argon2') {
  library ??= createRequire(import.meta.url)('@node-rs/argon2') as typeof import('@node-rs/argon2');
  return library;
}

/** What new hashes are made with: the OWASP minimum. Raising a number here upgrades rows at login. */
export const ARGON2ID_PARAMETERS = {
  memoryKib: 19_456,
  passes: 2,
  lanes: 1,
  saltBytes: 16,
  tagBytes: 32,
} as const;

/**
 * The PHC string of a password, `$argon2id$v=19$m=…,t=…,p=…$salt$tag`. Blocks the thread for about 10 ms: only the
 * hashing threads call it. The synchronous functions of the library stay clear of the libuv pool.
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

/** Whether `phc` is the hash of `password`. Throws on text that the library cannot read. */
export function argon2idVerify(phc: string, password: string): boolean {
  return loadArgon2().verifySync(phc, password);
}

/** Does the given part of one hash's work with current parameters, for its time only; `part` is from 0 to 0.5. */
export function argon2idWork(part: number): void {
  const { memoryKib, passes, saltBytes } = ARGON2ID_PARAMETERS;
  loadArgon2().hashRawSync('', {
    memoryCost: Math.max(8, Math.round(memoryKib * passes * part)),
    timeCost: 1,
    parallelism: 1,
    salt: Buffer.alloc(saltBytes),
  });
}
