import { type FieldRule, isUuid, text } from '../../domain/validation.ts';
import type { ServiceRef } from './service-account-queries.ts';

const nameText = text({
  minBytes: 1,
  maxBytes: 64,
  form: {
    pattern: /^[A-Za-z0-9][A-Za-z0-9._:/-]*$/,
    description: 'letters, digits and ._:/- after a letter or digit',
  },
});

/** A name is no UUID, so that a word names an account by its id or by its name and never by both. */
export const serviceName: FieldRule<string> = (value, field) => {
  const violations = nameText(value, field);
  if (violations.length > 0 || !isUuid(value.toLowerCase())) return violations;
  return [{ field, description: 'must not be a UUID; choose a name' }];
};

/** The account that a word names: its id, or its name. */
export function parseServiceRef(word: string): ServiceRef {
  return isUuid(word) ? { id: word } : { name: word };
}
