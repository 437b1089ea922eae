import { canonicalBase64 } from './canonical-base64.ts';
import type { PasswordFormat } from './password-format.ts';
import { anyDigest, pbkdf2Hash, type Pbkdf2Digest } from './pbkdf2-hash.ts';

const TEXT = /^\$pbkdf2(?:-sha256|-sha512)?\$([1-9]\d{0,9})\$([A-Za-z0-9./]{1,342})\$([A-Za-z0-9./]{27,86})$/;

/** passlib's PBKDF2: base64 without padding, with `.` in the place of `+`. */
export function passlibPbkdf2Format(ident: string, digest: Pbkdf2Digest): PasswordFormat {
  return {
    name: ident,

    claims: (stored) => stored.startsWith(`$${ident}$`),

    read(stored) {
      const [, iterations, salt = '', expected = ''] = TEXT.exec(stored) ?? [];
      if (iterations === undefined) return `is not a well-formed ${ident} hash as passlib writes it`;
      return pbkdf2Hash({ digest, iterations, salt: fromAdapted(salt), expected: fromAdapted(expected) });
    },

    complete: (kind) => `${kind}${'A'.repeat(22)}$${toAdapted(anyDigest(digest))}`,
  };
}

function fromAdapted(adapted: string): Buffer | undefined {
  return canonicalBase64(adapted.replaceAll('.', '+'), 'bare');
}

function toAdapted(bytes: Buffer): string {
  return bytes
    .toString('base64')
    .replaceAll('+', '.')
    .replace(/={1,2}$/, '');
}
