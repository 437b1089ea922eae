import type { FieldRule } from '../domain/validation.ts';
import type { FieldViolation } from '../domain/rejection.ts';

/** UTF-8 bytes after normalisation. Enough for any passphrase; short enough that the checks before hashing are cheap. */
export const MAX_PASSWORD_BYTES = 1024;

/** Normalisation shrinks text to a third of its bytes at most (Hangul), so longer text cannot fit the limit. */
const MAX_UNNORMALISED_LENGTH = 3 * MAX_PASSWORD_BYTES;

/** Lists of common passwords have no useful entries beyond this length. */
const MAX_COMMON_PASSWORD_LENGTH = 64;

/** Shorter context words occur in passwords by chance. */
const MIN_CONTEXT_WORD_LENGTH = 3;

export interface NewPasswordRules {
  /** Request field that the violations name. */
  readonly field: string;
  /** Code points after normalisation: close to what a person counts as characters. */
  readonly minLength: number;
  /** Words that an attacker tries first for this user: the local part of the e-mail address, the product name. */
  readonly context: readonly string[];
  /** Whether normalised, lower-case text is in the list of common passwords (ASVS 6.2.4). */
  readonly isCommon: (text: string) => boolean;
}

/**
 * Normalises to NFC, both when a password is set and when it is verified: some keyboards send é as one code point,
 * others as two (NIST SP 800-63B section 3.1.1.2). Nothing else changes: no trimming, case folding or truncation.
 */
export function normalisePassword(password: string): string {
  return password.normalize('NFC');
}

/** Maximum number of texts that one login compares with an imported hash. */
export const MAX_PASSWORD_FORMS = 3;

/**
 * The texts that another program may have hashed when a person typed `password`: NFC, which Postern itself hashes, the
 * text as typed, NFD and NFKC, as far as they differ. At most `max` of them, the likeliest first; one for ASCII text.
 *
 * A form over `MAX_PASSWORD_BYTES` is left out. NFKC writes 18 characters for U+FDFA, and some imported formats read the
 * whole text in each iteration: one such password took a hashing thread 8 s, and the delay of refusals covers no more
 * than that limit.
 */
export function passwordForms(password: string, max = MAX_PASSWORD_FORMS): PasswordForms {
  const nfc = normalisePassword(password);
  const others = new Set([password, password.normalize('NFD'), password.normalize('NFKC')]);
  const compared = [...others].filter(
    (form) => form !== nfc && Buffer.byteLength(form, 'utf8') <= MAX_PASSWORD_BYTES,
  );
  return [nfc, ...compared.slice(0, max - 1)];
}

/** Different Unicode forms of one typed password, NFC first. */
export type PasswordForms = readonly [nfc: string, ...others: string[]];

/**
 * Returns every reason why `password` cannot be set, each as one line that says what to do; empty when it can be set.
 * All Unicode characters and spaces are allowed, and no character classes are required (ASVS 6.2.5, 6.2.9).
 */
export function checkNewPassword(password: string, rules: NewPasswordRules): readonly FieldViolation[] {
  return newPasswordFaults(password, rules).map((description) => ({ field: rules.field, description }));
}

function newPasswordFaults(password: string, rules: NewPasswordRules): readonly string[] {
  const formatFaults = passwordFormatFaults(password);
  if (formatFaults.length > 0) return formatFaults;
  const normalised = normalisePassword(password);
  return [
    ...(Array.from(normalised).length < rules.minLength
      ? [`must be at least ${rules.minLength} characters long; a few words in a row make a good password`]
      : []),
    ...(isMostlyCommon(normalised, rules.isCommon)
      ? ['is among the passwords that attackers try first; choose another']
      : []),
    ...(isMostlyContext(normalised, rules.context)
      ? ['must not be made of the e-mail address or the name of the service; choose other words']
      : []),
  ];
}

/**
 * Rule for a password that will be compared with a stored hash: 1 to 1024 bytes after normalisation, no NUL, no lone
 * surrogates. The policy for new passwords does not apply, so a policy made stricter later locks nobody out.
 */
export const passwordToCheckAtLogin: FieldRule<string> = (password, field) =>
  passwordFormatFaults(password).map((description) => ({ field, description }));

/** Faults that no password may have, new or old. NUL ends the text in bcrypt; UTF-8 turns a lone surrogate into U+FFFD. */
function passwordFormatFaults(password: string): readonly string[] {
  if (password === '') return ['must not be empty'];
  if (
    password.length > MAX_UNNORMALISED_LENGTH ||
    Buffer.byteLength(normalisePassword(password), 'utf8') > MAX_PASSWORD_BYTES
  ) {
    return [`must be at most ${MAX_PASSWORD_BYTES} bytes long`];
  }
  return [
    ...(password.includes('\0') ? ['must not contain the NUL character'] : []),
    ...(!password.isWellFormed() ? ['must be well-formed Unicode'] : []),
  ];
}

/**
 * Whether more than half of the password consists of context words, ignoring case: true for `Postern12345`, false for
 * `postern in the rain`. Each part of a word also counts, so the context `ada.lovelace` refuses `AdaLovelace99`.
 */
function isMostlyContext(password: string, context: readonly string[]): boolean {
  const folded = password.toLowerCase();
  const words = context
    .map((word) => normalisePassword(word).toLowerCase())
    .flatMap((word) => [word, ...word.split(/[^\p{L}\p{M}\p{N}]+/u)])
    .filter((word) => word.length >= MIN_CONTEXT_WORD_LENGTH)
    .sort((a, b) => b.length - a.length);
  const remainder = words.reduce((text, word) => text.replaceAll(word, ''), folded);
  return remainder.length * 2 < folded.length;
}

/** Strips everything before the first letter and after the last one. */
function stripNonLetterEnds(text: string): string {
  const letters = [...text.matchAll(/\p{L}/gu)];
  const [first, last] = [letters[0], letters.at(-1)];
  return first && last ? text.slice(first.index, last.index + last[0].length) : '';
}

/**
 * Whether the password is a common one in disguise. A common password (1) makes up at least two thirds of it, at its
 * start or end; (2) makes up at least half of it, with only digits and symbols around; or (3) is repeated to fill it.
 * Lists have few entries of twelve characters, so an exact look-up would accept `Password1234`, `Summer2024!!` and
 * `qwertyqwerty`.
 */
function isMostlyCommon(password: string, isCommon: (text: string) => boolean): boolean {
  const folded = password.toLowerCase();
  const minLength = Math.ceil((folded.length * 2) / 3);
  for (let length = folded.length; length >= minLength && minLength <= MAX_COMMON_PASSWORD_LENGTH; length--) {
    if (isCommon(folded.slice(0, length)) || isCommon(folded.slice(-length))) return true;
  }
  const core = stripNonLetterEnds(folded);
  if (core.length * 2 >= folded.length && isCommon(core)) return true;
  const repeated = /^(.{1,32}?)\1+$/su.exec(folded)?.[1];
  return repeated !== undefined && (repeated.length <= 3 || isCommon(repeated));
}
