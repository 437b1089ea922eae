/** A NumericDate (RFC 7519 section 2) in a plausible range: above 0 and below 2^40 (T16). */
export function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value < 2 ** 40;
}

/** Safe to store, log and put into a header: 1 to 256 characters, no control characters or lone surrogates (T19). */
export function isIdentifier(value: unknown): value is string {
  return (
    typeof value === 'string' && value.length >= 1 && value.length <= 256 && !/[\p{Cc}\p{Cs}]/u.test(value)
  );
}

export function isIdentifierList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isIdentifier);
}

/**
 * An id as other programs write it: a text, or a number without rounding, so that two users never share one. -0 is
 * excluded: it would print as 0.
 */
export function isIdentifierOrNumber(value: unknown): value is string | number {
  return isIdentifier(value) || (Number.isSafeInteger(value) && !Object.is(value, -0));
}
