import { createHash, timingSafeEqual } from 'node:crypto';

import { decodeCanonicalBase64, encodeUnpadded } from './base64.ts';
import type { PasswordFormat } from './password-format.ts';

type Digest = 'sha1' | 'sha256' | 'sha512';

export const SHA_BYTES: Readonly<Record<Digest, number>> = { sha1: 20, sha256: 32, sha512: 64 };
const PATTERN = /^\$ssha(?:256|512)?\$([A-Za-z0-9+/]{2,128})\$([A-Za-z0-9+/]{27,86})$/;
/** A single digest takes a microsecond. */
const WORK = 0.001;

/**
 * `{SSHA}`, `{SSHA256}` and `{SSHA512}` of LDAP servers: one digest of password and salt. Stored as
 * `$ssha$salt$digest`, in base64 without padding.
 */
export function saltedShaFormat(ident: 'ssha' | 'ssha256' | 'ssha512', digest: Digest): PasswordFormat {
  return {
    name: ident,

    recognises: (stored) => stored.startsWith(`$${ident}$`) || stored.startsWith(`{${ident.toUpperCase()}}`),

    read(stored) {
      const [, saltText = '', digestText = ''] = PATTERN.exec(stored) ?? [];
      const salt = decodeCanonicalBase64(saltText, 'unpadded');
      const expected = decodeCanonicalBase64(digestText, 'unpadded');
      if (salt === undefined || salt.length === 0 || expected?.length !== SHA_BYTES[digest]) {
        return `is not a well-formed {${ident.toUpperCase()}} hash with a salt`;
      }
      return {
        work: WORK,
        needsRehash: true,
        verify: (password) =>
          timingSafeEqual(createHash(digest).update(password).update(salt).digest(), expected),
      };
    },

    exampleHash: (kind) => `${kind}AAAA$${encodeUnpadded(Buffer.alloc(SHA_BYTES[digest]))}`,
  };
}
