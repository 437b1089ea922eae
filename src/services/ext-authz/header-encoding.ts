import { Denied } from './denial.ts';

const MAX_BYTES = 1024;
/** All but visible ASCII, and of that the escape itself, what separates list items, and what ends a quoted string. */
const ESCAPED = /[^\x21-\x7e]|[%,"\\]/gu;

/**
 * A name as an identity header carries it: percent-encoded UTF-8 (RFC 3986 section 2.1) for everything but visible
 * ASCII, and for `%`, `,`, `"` and `\`. So UUIDs and ordinary role names stay as they are, `decodeURIComponent` gives every name
 * back, the name "a,admin" cannot pass for two, and " admin" not for "admin".
 *
 * @throws Denied when it holds a control character or half a character, which no sound token does (E05)
 */
export function headerText(name: string): string {
  if (/[\p{Cc}\p{Cs}]/u.test(name)) {
    throw new Denied({ kind: 'identity-unfit', detail: 'a claim of the token contains control characters' });
  }
  return name.replace(ESCAPED, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

/** The header's whole value; an upstream that reads a shortened one would read another identity. @throws Denied */
export function headerList(names: readonly string[]): string {
  const value = names.map(headerText).join(',');
  if (value.length <= MAX_BYTES) return value;
  throw new Denied({
    kind: 'identity-unfit',
    detail: `the identity does not fit into headers of ${MAX_BYTES} bytes`,
  });
}
