import { Rejected } from '../../domain/rejection.ts';
import { userRoles } from '../../domain/roles.ts';
import { each, type FieldRule, ifDefined, text } from '../../domain/validation.ts';
import type { Transaction } from '../../database/database.ts';
import { unknownAudienceViolations } from '../audiences/audience-name.ts';
import type { AccountRights } from './service-account-queries.ts';

/** The lists of an account that an administrator gives; what is absent stays as it is, or gets its default. */
export interface GivenRights {
  readonly roles?: readonly string[] | undefined;
  readonly allowedAudiences?: readonly string[] | undefined;
  readonly ownAudiences?: readonly string[] | undefined;
  readonly delegationAudiences?: readonly string[] | undefined;
}

const audienceList = ifDefined(each(text({ minBytes: 1, maxBytes: 256 }), { maxItems: 16 }));

const atLeastOne: FieldRule<readonly string[] | undefined> = (names, field) =>
  names?.length === 0
    ? [{ field, description: 'must have at least one audience; delete the account when it needs none' }]
    : audienceList(names, field);

export const rightsRules = {
  roles: ifDefined(userRoles),
  allowedAudiences: atLeastOne,
  ownAudiences: audienceList,
  delegationAudiences: audienceList,
};

/** The given lists without repetitions, sorted; the others from `before`. */
export function rightsAfter(before: AccountRights, given: GivenRights): AccountRights {
  const list = (names: readonly string[]) => [...new Set(names)].sort();
  return {
    roles: list(given.roles ?? before.roles),
    allowedAudiences: given.allowedAudiences ? list(given.allowedAudiences) : before.allowedAudiences,
    ownAudiences: list(given.ownAudiences ?? before.ownAudiences),
    delegationAudiences: list(given.delegationAudiences ?? before.delegationAudiences),
  };
}

/** What a change takes from an account, by the tokens that it affects. */
export function rightsLost(
  before: AccountRights,
  after: AccountRights,
): { readonly asSubject: boolean; readonly asActor: boolean } {
  const shrinks = (had: readonly string[], has: readonly string[]) => had.some((name) => !has.includes(name));
  const { allowedAudiences } = after;
  const losesAudience =
    allowedAudiences !== null &&
    (before.allowedAudiences === null || shrinks(before.allowedAudiences, allowedAudiences));
  return {
    asSubject: losesAudience || shrinks(before.roles, after.roles),
    asActor:
      shrinks(before.ownAudiences, after.ownAudiences) ||
      shrinks(before.delegationAudiences, after.delegationAudiences),
  };
}

/**
 * Every given audience must exist at this moment, and cannot be deleted until the transaction ends.
 *
 * @throws Rejected `field-invalid`
 */
export async function requireKnownAudiences(
  trx: Transaction,
  configured: readonly string[],
  { allowedAudiences, ownAudiences, delegationAudiences }: GivenRights,
): Promise<void> {
  const violations = await unknownAudienceViolations(trx, configured, {
    allowed_audiences: allowedAudiences,
    own_audiences: ownAudiences,
    delegation_audiences: delegationAudiences,
  });
  if (violations.length > 0) throw new Rejected({ kind: 'field-invalid', violations });
}
