import type { TokenRefusal } from '../../domain/rejection.ts';
import { refusals } from './token-refusals.ts';

/** Longer tokens are refused without being parsed (T02). Postern's own tokens stay under 1536 bytes. */
export const MAX_TOKEN_BYTES = 8192;

/** The three segments of a compact JWS, still encoded. Each is canonical base64url. */
export interface CompactJws {
  readonly ok: true;
  readonly header: string;
  readonly payload: string;
  readonly signature: string;
}

/** The six-bit value of each ASCII character (RFC 4648 section 5); 0xff for characters outside the alphabet. */
const SIX_BITS = new Uint8Array(128).fill(0xff);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
for (let value = 0; value < ALPHABET.length; value++) SIX_BITS[ALPHABET.charCodeAt(value)] = value;

/**
 * Splits a compact JWS without decoding it (T01, T02, T08, T09). It must have three non-empty segments, each canonical
 * base64url. Decoders skip spaces, padding and stray bits, so one signed token would have many texts, each a different
 * key in a cache or a deny list.
 */
export function splitCompactJws(
  token: string,
  maxBytes = MAX_TOKEN_BYTES,
): CompactJws | { readonly ok: false; refusal: TokenRefusal } {
  // UTF-8 has at least one byte per UTF-16 code unit, so `length` alone refuses a megabyte without reading it.
  if (token.length > maxBytes || Buffer.byteLength(token) > maxBytes)
    return refuse(maxBytes === MAX_TOKEN_BYTES ? refusals.tooLarge : refusals.outsideTooLarge);
  const firstDot = token.indexOf('.');
  const secondDot = token.indexOf('.', firstDot + 1);
  if (firstDot < 0 || secondDot < 0 || token.includes('.', secondDot + 1))
    return refuse(refusals.notThreeSegments);
  const header = token.slice(0, firstDot);
  const payload = token.slice(firstDot + 1, secondDot);
  const signature = token.slice(secondDot + 1);
  if (header === '' || payload === '' || signature === '') return refuse(refusals.notThreeSegments);
  if (!isCanonicalBase64url(header) || !isCanonicalBase64url(payload) || !isCanonicalBase64url(signature)) {
    return refuse(refusals.notCanonical);
  }
  return { ok: true, header, payload, signature };
}

/** Whether the text is canonical base64url: no padding, and unused bits zero (RFC 4648 sections 3.5 and 5). */
export function isCanonicalBase64url(text: string): boolean {
  let last = 0;
  for (let index = 0; index < text.length; index++) {
    last = SIX_BITS[text.charCodeAt(index)] ?? 0xff;
    if (last === 0xff) return false;
  }
  switch (text.length % 4) {
    case 0:
      return true;
    case 2:
      return (last & 0b1111) === 0;
    case 3:
      return (last & 0b11) === 0;
    default:
      return false;
  }
}

function refuse(refusal: TokenRefusal): { readonly ok: false; refusal: TokenRefusal } {
  return { ok: false, refusal };
}
