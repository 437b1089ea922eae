import { canonicalEmail } from './email.ts';
import { checkNewPassword } from '../../passwords/password-policy.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';

/** Settings for new passwords. */
interface PasswordPolicy {
  /** Unicode code points. */
  readonly minLength: number;
}

/** Dependencies of every operation that sets a password. */
export interface PasswordTools {
  readonly hasher: PasswordHasher;
  readonly policy: PasswordPolicy;
}

/** A user whose password has leaked must not set the same one again. */
export function passwordUnchanged(): Rejected {
  const description = 'must not be the current password; choose another';
  return new Rejected({ kind: 'password-policy', violations: [{ field: 'new_password', description }] });
}

/**
 * Checks a new password against the policy, the list of common passwords and the user's own e-mail.
 *
 * @param input.field the request field that violations name
 * @throws Rejected `password-policy`
 */
export async function validateNewPassword(
  { hasher, policy }: PasswordTools,
  input: { readonly password: string; readonly email: string; readonly field: string },
): Promise<void> {
  const { password, email, field } = input;
  const common = await hasher.commonPasswords();
  const violations = checkNewPassword(password, {
    field,
    minLength: policy.minLength,
    context: [email.slice(0, email.indexOf('@')), 'postern'],
    isCommon: (candidate) => isSpellingOf(email, candidate) || common.has(candidate),
  });
  if (violations.length > 0) throw new Rejected({ kind: 'password-policy', violations });
}

/** Whether a text is the e-mail, with its domain in Unicode or in ASCII. */
function isSpellingOf(email: string, text: string): boolean {
  if (text === email) return true;
  const canonical = text.includes('@') ? canonicalEmail(text) : null;
  return canonical?.ok === true && canonical.email === email;
}
