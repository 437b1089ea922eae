import { argon2idParameters, argon2idVerify } from '../hashing/argon2id.ts';
import { canonicalBase64 } from './canonical-base64.ts';
import type { PasswordFormat } from './password-format.ts';

/**
 * Version 19 only, parameters without leading zeros in this order, no key id and no associated data, base64 without
 * padding: salt of 8 to 48 bytes, tag of 16 to 64.
 */
const phcText =
  /^\$argon2(?:id|i|d)\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,3})\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{22,86})$/;

/**
 * A hostile stored text must not burn memory or time: imports bring texts that somebody else made. The dearest takes
 * about 70 hashes of ours. Lanes cost nothing by themselves; argon2-cffi once made 8 by default.
 */
const dearest = { memoryKib: 262_144, passes: 10, lanes: 16 };

/** argon2 as a PHC string, from the cheapest parameters that the algorithm knows to `dearest`. */
export function argon2Format(variant: 'argon2id' | 'argon2i' | 'argon2d'): PasswordFormat {
  return {
    name: variant,

    claims: (stored) => stored.startsWith(`$${variant}$`),

    read(stored) {
      const [, m, t, p, saltText = '', tagText = ''] = phcText.exec(stored) ?? [];
      const salt = canonicalBase64(saltText, 'bare');
      const tag = canonicalBase64(tagText, 'bare');
      if (m === undefined || salt === undefined || tag === undefined) {
        return `is not a well-formed ${variant} PHC string of version 19`;
      }
      const [memoryKib, passes, lanes] = [Number(m), Number(t), Number(p)];
      if (memoryKib > dearest.memoryKib || passes > dearest.passes || lanes > dearest.lanes) {
        return `costs more than m=${dearest.memoryKib},t=${dearest.passes},p=${dearest.lanes}, the maximum for ${variant}`;
      }
      if (memoryKib < 8 * lanes) return 'has less memory than argon2 needs for its lanes';
      const work = (memoryKib * passes) / (argon2idParameters.memoryKib * argon2idParameters.passes);
      return {
        work,
        needsRehash:
          variant !== 'argon2id' ||
          work < 1 ||
          memoryKib < argon2idParameters.memoryKib ||
          salt.length < argon2idParameters.saltBytes ||
          tag.length < argon2idParameters.tagBytes,
        // The library takes the variant from the text.
        verify: (password) => argon2idVerify(stored, password),
      };
    },

    complete: (kind) => `${kind}${'A'.repeat(22)}$${'A'.repeat(43)}`,
  };
}
