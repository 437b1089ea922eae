import { percentEncoded } from '../../domain/percent-encoding.ts';
import { Denied } from './denial.ts';

const MAX_BYTES = 1024;

/**
 * Encodes a name for an identity header: percent-encoded UTF-8 (RFC 3986 section 2.1) for everything except visible
 * ASCII, and for `%`, `,`, `"` and `\`. UUIDs and ordinary role names do not change, and `decodeURIComponent` returns
 * the name. The role "a,admin" cannot be read as two roles, nor " admin" as "admin".
 *
 * @throws Denied `identity-unfit` for a control character or an unpaired surrogate, which no valid token has (E05)
 */
export function headerText(name: string): string {
  if (/[\p{Cc}\p{Cs}]/u.test(name)) {
    throw new Denied({ kind: 'identity-unfit', detail: 'a claim of the token contains control characters' });
  }
  return percentEncoded(name);
}

/**
 * A header's value. It is never shortened, because the upstream would then read another identity.
 *
 * @throws Denied `identity-unfit` when it is longer than `MAX_BYTES`
 */
export function headerList(names: readonly string[]): string {
  const value = names.map(headerText).join(',');
  if (value.length <= MAX_BYTES) return value;
  throw new Denied({
    kind: 'identity-unfit',
    detail: `the identity does not fit into headers of ${MAX_BYTES} bytes`,
  });
}
