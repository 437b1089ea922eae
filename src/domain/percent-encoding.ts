/** Everything except visible ASCII; also `%` (the escape), `,` (separates list items), `"` and `\` (quoted strings). */
const ESCAPED = /[^\x21-\x7e]|[%,"\\]/gu;

/**
 * A name as identity headers and routes have it: percent-encoded UTF-8 (RFC 3986 section 2.1) for everything except
 * visible ASCII, and for `%`, `,`, `"` and `\`. `decodeURIComponent` returns the name.
 */
export function percentEncoded(name: string): string {
  return name.replace(ESCAPED, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}
