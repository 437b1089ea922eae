import { optional, requireValid, text } from '../domain/validation.ts';
import { Rejected } from '../domain/rejection.ts';

/** A position is an epoch of 64 bits followed by a transaction number of 64 bits. */
const MAX_POSITION = 2n ** 128n - 1n;
const CURSOR_FORM = 'a cursor of this service, or empty for everything';
const cursorRules = {
  cursor: optional(
    text({
      minBytes: 1,
      maxBytes: 41,
      form: { pattern: /1\.(?:0|[1-9][0-9]{0,38})/, description: CURSOR_FORM },
    }),
  ),
};

/** A position as text with a version prefix. Opaque to subscribers; valid at every instance. */
export function formatCursor(position: bigint): string {
  return `1.${position}`;
}

/**
 * The position from which a subscriber resumes; null when it requests everything.
 *
 * @throws Rejected `field-invalid` for a text that `formatCursor` cannot return
 */
export function parseCursor(cursor: string): bigint | null {
  requireValid(cursorRules, { cursor });
  if (cursor === '') return null;
  const position = BigInt(cursor.slice('1.'.length));
  if (position <= MAX_POSITION) return position;
  const violations = [{ field: 'cursor', description: `must be ${CURSOR_FORM}` }];
  throw new Rejected({ kind: 'field-invalid', violations });
}
