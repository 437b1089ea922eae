/**
 * Decodes standard base64 (RFC 4648 section 4). Returns undefined unless encoding the bytes again gives the same text:
 * wrong padding, foreign characters and stray low bits are damage, and one hash must not have two encodings.
 */
export function decodeCanonicalBase64(text: string, padding: 'padded' | 'unpadded'): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  const reencoded = padding === 'padded' ? bytes.toString('base64') : encodeUnpadded(bytes);
  return reencoded === text ? bytes : undefined;
}

/** Standard base64 without padding. */
export function encodeUnpadded(bytes: Uint8Array): string {
  return withoutPadding(Buffer.from(bytes).toString('base64'));
}

export function withoutPadding(base64: string): string {
  return base64.replace(/={1,2}$/, '');
}

/** passlib's adapted base64 ("ab64"): without padding, and with `.` for `+`. */
export function encodeAb64(bytes: Uint8Array): string {
  return encodeUnpadded(bytes).replaceAll('+', '.');
}

/** Decodes like `decodeCanonicalBase64`. */
export function decodeAb64(text: string): Buffer | undefined {
  return decodeCanonicalBase64(text.replaceAll('.', '+'), 'unpadded');
}
