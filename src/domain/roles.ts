import { bytesInJson } from './claims/token-room.ts';
import { each, type FieldRule, text } from './validation.ts';

const MAX_ROLES = 16;
const MAX_BYTES = 168;

/**
 * The space for issuer and audience in an issued token. Together with `userRoles` it keeps the tokens of all algorithms
 * below the 1536 bytes of T26: with RS256, 684 bytes of JSON remain, of which the other claims take 203, issuer and
 * audience with quotes 260, and 16 roles of 168 bytes in total 215.
 */
export const MAX_ISSUER_AND_AUDIENCE_BYTES = 256;

export const roleName = text({
  minBytes: 1,
  maxBytes: 64,
  form: {
    pattern: /^[a-z][a-z0-9._:-]*$/,
    description: 'lower-case letters, digits and ._:- after a letter',
  },
});
const roleNames = each(roleName, { maxItems: MAX_ROLES });

/** The roles of one account. Every write path applies this rule: with more roles, no token could be issued to the account. */
export const userRoles: FieldRule<readonly string[]> = (roles, field) => {
  const violations = roleNames(roles, field);
  const bytes = roles.reduce((sum, role) => sum + role.length, 0);
  return violations.length > 0 || bytes <= MAX_BYTES
    ? violations
    : [{ field, description: `must be at most ${MAX_BYTES} bytes long together` }];
};

/** Whether tokens from `issuer` for each of `audiences` have room for all roles that `userRoles` allows. */
export function leaveRoomForRoles(issuer: string, audiences: readonly string[]): boolean {
  return audiences.every(
    (audience) => bytesInJson(issuer) + bytesInJson(audience) <= MAX_ISSUER_AND_AUDIENCE_BYTES,
  );
}
