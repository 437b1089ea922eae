import { type Email, requireEmail } from './email.ts';
import { isUuid, uuid } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';

/** A user by id, or by e-mail as anybody may write it. */
export type UserRef = { readonly userId: string } | { readonly email: string };

/** @throws Rejected `field-invalid` for what is no id, or no e-mail */
export function resolveUserRef(ref: UserRef): { readonly id: string } | { readonly email: Email } {
  if ('email' in ref) return { email: requireEmail(ref.email) };
  const { userId } = ref;
  if (!isUuid(userId)) throw new Rejected({ kind: 'field-invalid', violations: uuid(userId, 'user_id') });
  return { id: userId };
}

/** @throws Rejected `field-invalid` unless a request names a user in one way */
export function parseUserRef(request: { readonly userId: string; readonly email: string }): UserRef {
  const { userId, email } = request;
  if ((userId === '') !== (email === '')) return userId === '' ? { email } : { userId };
  const description = 'set either user_id or email';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'user_id', description }] });
}
