import { type Email, requireEmail } from './email.ts';
import { isUuid, uuid } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';

/** Names a user by id, or by an e-mail address that need not be canonical. */
export type UserRef = { readonly userId: string } | { readonly email: string };

/** Validates the id, or makes the e-mail canonical. @throws Rejected `field-invalid` */
export function resolveUserRef(ref: UserRef): { readonly id: string } | { readonly email: Email } {
  if ('email' in ref) return { email: requireEmail(ref.email) };
  const { userId } = ref;
  if (!isUuid(userId)) throw new Rejected({ kind: 'field-invalid', violations: uuid(userId, 'user_id') });
  return { id: userId };
}

/** @throws Rejected `field-invalid` unless exactly one of `userId` and `email` is set */
export function parseUserRef(request: { readonly userId: string; readonly email: string }): UserRef {
  const { userId, email } = request;
  if ((userId === '') !== (email === '')) return userId === '' ? { email } : { userId };
  const description = 'set either user_id or email';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'user_id', description }] });
}
