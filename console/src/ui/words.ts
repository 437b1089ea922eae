/** The words of a text field that takes several, separated by spaces or commas; each once. */
export function wordsOf(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((word) => word !== ''))];
}

const ROLE = '[a-z][a-z0-9._:\\-]*';
/** Roles separated by commas or spaces, as `wordsOf` reads them. */
export const ROLES_PATTERN = `[\\s,]*(${ROLE}([\\s,]+${ROLE})*[\\s,]*)?`;
