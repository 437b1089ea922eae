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

/** A name must not be a UUID, so that a reference is either an id or a name. */
export const serviceName: FieldRule<string> = (value, field) => {
  const violations = nameText(value, field);
  if (violations.length > 0 || !isUuid(value.toLowerCase())) return violations;
  return [{ field, description: 'must not be a UUID; choose a name' }];
};

/** Reads a reference to an account: a UUID is its id, any other text its name. */
export function parseServiceRef(reference: string): ServiceRef {
  return isUuid(reference) ? { id: reference } : { name: reference };
}
