import { argon2idParameters, argon2idVerify } from '../argon2id.ts';
import type { PasswordFormat } from './password-format.ts';

/**
 * Version 19 only, parameters without leading zeros in this order, no key id and no associated data, base64 without
 * padding: salt of 8 to 48 bytes, tag of 16 to 64.
 */
const phcText =
  /^\$argon2id\$v=19\$m=([1-9]\d{0,5}),t=([1-9]\d?),p=([1-9])\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{22,86})$/;

/** A hostile stored text must not burn memory or time: imports bring texts that somebody else made. */
const dearest = { memoryKib: 262_144, passes: 10, lanes: 4 };

/** argon2id as a PHC string, with any parameters from the cheapest that the algorithm knows to `dearest`. */
export const argon2idFormat: PasswordFormat = {
  name: 'argon2id',

  claims: (stored) => stored.startsWith('$argon2id$'),

  read(stored) {
    const [, m, t, p, salt = '', tag = ''] = phcText.exec(stored) ?? [];
    const [memoryKib, passes, lanes] = [Number(m), Number(t), Number(p)];
    const inBounds =
      memoryKib >= 8 * lanes &&
      memoryKib <= dearest.memoryKib &&
      passes <= dearest.passes &&
      lanes <= dearest.lanes;
    if (!inBounds) return undefined;
    const work = (memoryKib * passes) / (argon2idParameters.memoryKib * argon2idParameters.passes);
    return {
      work,
      needsRehash:
        work < 1 ||
        memoryKib < argon2idParameters.memoryKib ||
        base64Bytes(salt) < argon2idParameters.saltBytes ||
        base64Bytes(tag) < argon2idParameters.tagBytes,
      verify: (password) => argon2idVerify(stored, password),
    };
  },
};

function base64Bytes(text: string): number {
  return Math.floor((text.length * 3) / 4);
}
