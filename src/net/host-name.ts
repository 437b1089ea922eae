const MAX_NAME_CHARACTERS = 253;
/** RFC 1123 section 2.1: letters, digits and inner hyphens, at most 63 a label. */
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/**
 * Whether a text is a valid host name. A name whose last label is a number is refused: it is a mistyped IPv4 address (RFC
 * 3696 section 2), and some resolvers would parse it as one.
 */
export function isHostName(text: string): boolean {
  const labels = text.split('.');
  if (text.length > MAX_NAME_CHARACTERS || /^\d+$/.test(labels.at(-1) ?? '')) return false;
  return labels.every((label) => LABEL.test(label));
}
