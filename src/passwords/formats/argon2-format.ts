import { ARGON2ID_PARAMETERS, argon2idVerify } from '../hashing/argon2id.ts';
import { decodeCanonicalBase64 } from './base64.ts';
import type { PasswordFormat } from './password-format.ts';

/**
 * Version 19 only; parameters in this order and without leading zeros; no key id, no associated data. Salt of at least 8
 * bytes and tag of 16 to 64 bytes, in base64 without padding.
 */
const PHC_PATTERN =
  /^\$argon2(?:id|i|d)\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,3})\$([A-Za-z0-9+/]{11,})\$([A-Za-z0-9+/]{22,86})$/;

/** The library reads no longer ones: it keeps to the PHC string format, which gives a salt 64 characters. */
const MAX_SALT_BYTES = 48;

/**
 * Imported hashes come from elsewhere, and a hostile one must not exhaust memory or CPU time. The maximum costs 60
 * to 90 hashes with current parameters. Lanes add no cost by themselves; argon2-cffi once used 8 by default.
 */
const MAX_COST = { memoryKib: 262_144, passes: 10, lanes: 16 };

/** With more memory a block takes longer, since less of it is in the processor's cache: 10 % at twice the memory. */
const LARGE_MEMORY_FACTOR = 1.25;

/** argon2 as a PHC string, with parameters from the minimum of the algorithm up to `MAX_COST`. */
export function argon2Format(variant: 'argon2id' | 'argon2i' | 'argon2d'): PasswordFormat {
  return {
    name: variant,

    recognises: (stored) => stored.startsWith(`$${variant}$`),

    read(stored) {
      const [, m, t, p, saltText = '', tagText = ''] = PHC_PATTERN.exec(stored) ?? [];
      const salt = decodeCanonicalBase64(saltText, 'unpadded');
      const tag = decodeCanonicalBase64(tagText, 'unpadded');
      if (m === undefined || salt === undefined || tag === undefined) {
        return `is not a well-formed ${variant} PHC string of version 19`;
      }
      if (salt.length > MAX_SALT_BYTES) {
        return `has a salt of ${salt.length} bytes; the maximum for ${variant} is ${MAX_SALT_BYTES}`;
      }
      const [memoryKib, passes, lanes] = [Number(m), Number(t), Number(p)];
      if (memoryKib > MAX_COST.memoryKib || passes > MAX_COST.passes || lanes > MAX_COST.lanes) {
        return `costs more than m=${MAX_COST.memoryKib},t=${MAX_COST.passes},p=${MAX_COST.lanes}, the maximum for ${variant}`;
      }
      if (memoryKib < 8 * lanes) return 'has less memory than argon2 needs for its lanes';
      const blocks = (memoryKib * passes) / (ARGON2ID_PARAMETERS.memoryKib * ARGON2ID_PARAMETERS.passes);
      return {
        work: memoryKib > ARGON2ID_PARAMETERS.memoryKib ? LARGE_MEMORY_FACTOR * blocks : blocks,
        needsRehash:
          variant !== 'argon2id' ||
          blocks < 1 ||
          memoryKib < ARGON2ID_PARAMETERS.memoryKib ||
          salt.length < ARGON2ID_PARAMETERS.saltBytes ||
          tag.length < ARGON2ID_PARAMETERS.tagBytes,
        // The library reads the variant from the PHC string.
        verify: (password) => argon2idVerify(stored, password),
      };
    },

    exampleHash: (kind) => `${kind}${'A'.repeat(22)}$${'A'.repeat(43)}`,
  };
}
