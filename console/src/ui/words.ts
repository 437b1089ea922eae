/** The words of a text field that takes several, separated by spaces or commas; each once. */
export function wordsOf(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((word) => word !== ''))];
}

/** A text as a keyboard gives it: a name may hold what nobody sees, such as a zero-width space, or two spaces in a row. */
export function asTyped(text: string): string {
  return text
    .normalize()
    .replace(/\p{Cf}/gu, '')
    .replace(/\s+/g, ' ')
    .trim();
}
const ROLE = '[a-z][a-z0-9._:\\-]*';
/** Roles separated by commas or spaces, as `wordsOf` reads them. */
export const ROLES_PATTERN = `[\\s,]*(${ROLE}([\\s,]+${ROLE})*[\\s,]*)?`;
