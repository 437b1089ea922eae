export const CRYPT64_ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/**
 * The base64 of crypt(3) and phpass: three bytes are one number, the first byte lowest, and each group of six bits
 * becomes a character, the lowest first. Without padding.
 */
export function crypt64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const group = bytes.subarray(at, at + 3);
    let number = group.reduce((sum, byte, index) => sum | (byte << (8 * index)), 0);
    for (let characters = 0; characters <= group.length; characters++) {
      text += CRYPT64_ALPHABET.charAt(number & 63);
      number >>>= 6;
    }
  }
  return text;
}
