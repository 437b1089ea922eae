import type { FieldRule } from '../domain/validation.ts';
import type { FieldViolation } from '../domain/rejection.ts';

/** In UTF-8 after normalisation. Long enough for any passphrase, short enough to cost nothing before the hash. */
export const MAX_PASSWORD_BYTES = 1024;

/** Normalising shortens text to a third of its bytes at most (Hangul), so anything longer is too long either way. */
const MAX_UNNORMALISED_LENGTH = 3 * MAX_PASSWORD_BYTES;

/** No list has longer ones worth looking for. */
const MAX_COMMON_PASSWORD_LENGTH = 64;

/** Shorter context words turn up by chance. */
const MIN_CONTEXT_WORD_LENGTH = 3;

export interface NewPasswordRules {
  /** The request field that violations name. */
  readonly field: string;
  /** In code points after normalisation: what a person counts as characters, nearly. */
  readonly minLength: number;
  /** What an attacker tries first for this person: the e-mail's local part, the name of the product. */
  readonly context: readonly string[];
  /** Whether a text, in lower case and normalised, is in the list of well-known passwords (ASVS 6.2.4). */
  readonly isCommon: (text: string) => boolean;
}

/**
 * NFC, at setting and at checking alike: one keyboard sends é as one code point and another as two (NIST SP 800-63B
 * section 3.1.1.2). Nothing else is changed: no trimming, no case folding, no cut.
 */
export function normalisePassword(password: string): string {
  return password.normalize('NFC');
}

/**
 * Every reason why `password` cannot be set, each one line that says what to do; none when it can. Any Unicode and
 * any spaces are good, and no kinds of characters are asked for (ASVS 6.2.5, 6.2.9).
 */
export function checkNewPassword(password: string, rules: NewPasswordRules): readonly FieldViolation[] {
  return faultsOfNewPassword(password, rules).map((description) => ({ field: rules.field, description }));
}

function faultsOfNewPassword(password: string, rules: NewPasswordRules): readonly string[] {
  const unusable = faultsOfText(password);
  if (unusable.length > 0) return unusable;
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
 * Rule for a password that is to be compared with a stored one: only what no stored password can be is refused, so
 * that a policy made stricter since locks nobody out. 1 to 1024 bytes after normalisation, no NUL.
 */
export const passwordToCheckAtLogin: FieldRule<string> = (password, field) =>
  faultsOfText(password).map((description) => ({ field, description }));

/** What no password may be, old or new. NUL ends the text in bcrypt; a lone surrogate becomes U+FFFD in UTF-8. */
function faultsOfText(password: string): readonly string[] {
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
 * Whether more than half of the password is context words, in any case: `Postern12345` is, `postern in the rain`
 * is not. A word counts as a whole and in its parts, so that of `ada.lovelace` `AdaLovelace99` is caught too.
 */
function isMostlyContext(password: string, context: readonly string[]): boolean {
  const folded = password.toLowerCase();
  const words = context
    .map((word) => normalisePassword(word).toLowerCase())
    .flatMap((word) => [word, ...word.split(/[^\p{L}\p{M}\p{N}]+/u)])
    .filter((word) => word.length >= MIN_CONTEXT_WORD_LENGTH)
    .sort((a, b) => b.length - a.length);
  const rest = words.reduce((left, word) => left.replaceAll(word, ''), folded);
  return rest.length * 2 < folded.length;
}

/** Without the digits and signs before the first letter and after the last. */
function fromFirstToLastLetter(text: string): string {
  const letters = [...text.matchAll(/\p{L}/gu)];
  const [first, last] = [letters[0], letters.at(-1)];
  return first && last ? text.slice(first.index, last.index + last[0].length) : '';
}

/**
 * Whether a well-known password is at least two thirds of this one, at its start or end; or half of it, with nothing
 * but digits and signs around; or repeated fills it. Lists hold few entries of twelve characters, so a plain look-up
 * would let `Password1234`, `Summer2024!!` and `qwertyqwerty` pass.
 */
function isMostlyCommon(password: string, isCommon: (text: string) => boolean): boolean {
  const folded = password.toLowerCase();
  const minLength = Math.ceil((folded.length * 2) / 3);
  for (let length = folded.length; length >= minLength && minLength <= MAX_COMMON_PASSWORD_LENGTH; length--) {
    if (isCommon(folded.slice(0, length)) || isCommon(folded.slice(-length))) return true;
  }
  const core = fromFirstToLastLetter(folded);
  if (core.length * 2 >= folded.length && isCommon(core)) return true;
  const unit = /^(.{1,32}?)\1+$/su.exec(folded)?.[1];
  return unit !== undefined && (unit.length <= 3 || isCommon(unit));
}
