import { optional, requireValid, text } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';

/** An era of 64 bits before a transaction number of 64 bits. */
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

/** A place as text for watchers: opaque to them, the same at every instance, with a version in front. */
export function formatCursor(position: bigint): string {
  return `1.${position}`;
}

/**
 * The place that a watcher resumes from, or null when it asks for everything.
 *
 * @throws Rejected `field-invalid` for a text that no server made
 */
export function parseCursor(cursor: string): bigint | null {
  requireValid(cursorRules, { cursor });
  if (cursor === '') return null;
  const position = BigInt(cursor.slice('1.'.length));
  if (position <= MAX_POSITION) return position;
  const violations = [{ field: 'cursor', description: `must be ${CURSOR_FORM}` }];
  throw new Rejected({ kind: 'field-invalid', violations });
}
