/**
 * The bytes of standard base64, or undefined unless encoding them again gives the very text: other padding, other
 * letters or stray low bits are damage, and two texts of one hash are one too many.
 */
export function canonicalBase64(text: string, padding: 'padded' | 'bare'): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  const reencoded = bytes.toString('base64');
  return (padding === 'padded' ? reencoded : reencoded.replace(/={1,2}$/, '')) === text ? bytes : undefined;
}
