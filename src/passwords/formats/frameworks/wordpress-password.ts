/** The characters that PHP's `trim` takes off. */
const TRIMMED = ' \t\n\r\0\v';

/**
 * The texts that WordPress may have hashed for a password. It trims the password, and hashes what arrives in the form,
 * where PHP's quotes and backslashes have a backslash before them; plugins with forms of their own often take that off.
 */
export function wordpressInputs(password: string): readonly string[] {
  const trimmed = trim(password);
  const slashed = trimmed.replace(/['"\\]/g, '\\$&');
  return slashed === trimmed ? [trimmed] : [slashed, trimmed];
}

/** A loop, since a regular expression would take quadratic time for a long run of spaces inside the text. */
function trim(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && TRIMMED.includes(text.charAt(start))) start += 1;
  while (end > start && TRIMMED.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}
