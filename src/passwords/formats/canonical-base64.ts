/**
 * Decodes standard base64 (RFC 4648 section 4). Returns undefined unless encoding the bytes again gives the same text:
 * wrong padding, foreign characters and stray low bits are damage, and one hash must not have two encodings.
 */
export function decodeCanonicalBase64(text: string, padding: 'padded' | 'unpadded'): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  const padded = bytes.toString('base64');
  const reencoded = padding === 'padded' ? padded : padded.replace(/={1,2}$/, '');
  return reencoded === text ? bytes : undefined;
}
