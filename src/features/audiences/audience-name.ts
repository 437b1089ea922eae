import type { FieldViolation } from '../../domain/rejection.ts';
import { leaveRoomForRoles, MAX_ISSUER_AND_AUDIENCE_BYTES } from '../../domain/roles.ts';
import { type FieldRule, text } from '../../domain/validation.ts';
import type { Transaction } from '../../database/database.ts';
import { lockAddedAudiences } from './audience-queries.ts';

/** How `ListServiceAccounts` shows that an account may ask for every audience. */
export const EVERY_AUDIENCE = '*';

const nameText = text({
  minBytes: 1,
  maxBytes: 256,
  form: { pattern: /^[\x21-\x2b\x2d-\x7e]+$/, description: 'visible ASCII characters without a comma' },
});

/**
 * The name of an audience that is added. Tokens for it must have room for all roles that a user may have (T26), as with
 * those of POSTERN_AUDIENCE.
 */
export function newAudienceName(issuerName: string): FieldRule<string> {
  return (value, field) => {
    const violations = nameText(value, field);
    if (violations.length > 0) return violations;
    if (value === EVERY_AUDIENCE)
      return [{ field, description: 'must not be *, which stands for every audience' }];
    if (leaveRoomForRoles(issuerName, [value])) return [];
    const description = `must be shorter: it may have ${MAX_ISSUER_AND_AUDIENCE_BYTES} bytes together with POSTERN_ISSUER, because tokens need room for roles`;
    return [{ field, description }];
  };
}

/**
 * The violations of lists whose names must be audiences at this moment; none of these can be deleted until the transaction
 * ends.
 */
export async function unknownAudienceViolations(
  trx: Transaction,
  configured: readonly string[],
  lists: Readonly<Record<string, readonly string[] | undefined>>,
): Promise<FieldViolation[]> {
  const asked = [...new Set(Object.values(lists).flatMap((names) => names ?? []))];
  const notConfigured = asked.filter((name) => !configured.includes(name));
  const added = notConfigured.length === 0 ? [] : await lockAddedAudiences(trx, notConfigured);
  const known = new Set([...configured, ...added]);
  return Object.entries(lists).flatMap(([field, names]) =>
    (names ?? []).every((name) => known.has(name))
      ? []
      : [
          {
            field,
            description:
              'names an audience that does not exist; add it with CreateAudience or `postern audience add`',
          },
        ],
  );
}
