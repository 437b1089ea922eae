import { type FieldRule, text } from '../../domain/validation.ts';
import { canonicalEmail } from './email.ts';

const externalIdText = text({ minBytes: 1, maxBytes: 255 });

/**
 * The id that a user has in another program, for the claim `external_id`. It is stored as it is and compared byte by byte.
 * It must not be an e-mail: tokens carry none (T26), and an address is given up and given to somebody else some day.
 */
export const externalIdRule: FieldRule<string> = (value, field) => {
  const violations = externalIdText(value, field);
  if (violations.length > 0 || !canonicalEmail(value.trim()).ok) return violations;
  return [{ field, description: 'must not be an e-mail; give an id that stays with the user' }];
};
