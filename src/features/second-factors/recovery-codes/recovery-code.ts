import { base32, CROCKFORD_ALPHABET } from '../../../crypto/base32.ts';

export const RECOVERY_CODES = 10;
/** 56 random bits, of which a code has the first 50. */
export const RECOVERY_CODE_RANDOM_BYTES = 7;
const CHARACTERS = 10;
const PATTERN = new RegExp(`^[${CROCKFORD_ALPHABET}]{${CHARACTERS}}$`);

/**
 * Makes a recovery code `xxxxx-xxxxx` of 50 bits. It is guessed over the network alone, behind the password and the login throttle;
 * whoever has the database lacks the key of its digest.
 */
export function makeRecoveryCode(random: Uint8Array): string {
  const code = base32(random, CROCKFORD_ALPHABET).slice(0, CHARACTERS).toLowerCase();
  return `${code.slice(0, CHARACTERS / 2)}-${code.slice(CHARACTERS / 2)}`;
}

/** A code that somebody presents, by its form. A recovery code is in the form of which the database has the digest. */
export type PresentedCode =
  | { readonly kind: 'totp'; readonly code: string }
  | { readonly kind: 'recovery'; readonly code: string }
  | { readonly kind: 'malformed' };

/**
 * Reads a code as people type it: spaces and hyphens do not count, nor does case, and letters that look like digits are taken for
 * them (Crockford's base32).
 */
export function parsePresentedCode(text: string): PresentedCode {
  const stripped = text.replace(/[\s-]/g, '');
  // Before the case is folded: Unicode folds letters of other scripts to these.
  if (!/^[0-9A-Za-z]+$/.test(stripped)) return { kind: 'malformed' };
  const code = stripped.toUpperCase();
  if (/^[0-9]{6}$/.test(code)) return { kind: 'totp', code };
  const recovery = code.replace(/[IL]/g, '1').replaceAll('O', '0');
  return PATTERN.test(recovery) ? { kind: 'recovery', code: recovery } : { kind: 'malformed' };
}
