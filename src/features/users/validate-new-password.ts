import { checkNewPassword } from '../../passwords/password-policy.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';

/** What the settings ask of new passwords. */
interface PasswordPolicy {
  /** In code points. */
  readonly minLength: number;
}

/** What setting a password takes. */
export interface PasswordTools {
  readonly hasher: PasswordHasher;
  readonly policy: PasswordPolicy;
}

/** Whoever sets a password because the present one has leaked must not go away with the same one. */
export function passwordUnchanged(): Rejected {
  const description = 'must not be the current password; choose another';
  return new Rejected({ kind: 'password-policy', violations: [{ field: 'new_password', description }] });
}

/**
 * Holds a new password to the policy, well-known passwords and the user's own e-mail included.
 *
 * @param wanted.field the request field that violations name
 * @throws Rejected `password-policy`
 */
export async function validateNewPassword(
  { hasher, policy }: PasswordTools,
  wanted: { readonly password: string; readonly email: string; readonly field: string },
): Promise<void> {
  const { password, email, field } = wanted;
  const common = await hasher.commonPasswords();
  const violations = checkNewPassword(password, {
    field,
    minLength: policy.minLength,
    context: [email.slice(0, email.indexOf('@')), 'postern'],
    isCommon: (candidate) => candidate === email || common.has(candidate),
  });
  if (violations.length > 0) throw new Rejected({ kind: 'password-policy', violations });
}
