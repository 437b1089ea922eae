import { requireEmail } from './email.ts';
import { externalIdRule } from './external-id.ts';
import type { UserSelector } from './user-queries.ts';
import { isUuid, requireValid, uuid } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';

/** Names a user by id, by an e-mail address that need not be canonical, or by the id in another program. */
export type UserRef =
  { readonly userId: string } | { readonly email: string } | { readonly externalId: string };

/** Validates the id, or makes the e-mail canonical. @throws Rejected `field-invalid` */
export function resolveUserRef(ref: UserRef): UserSelector {
  if ('email' in ref) return { email: requireEmail(ref.email) };
  if ('externalId' in ref) {
    requireValid({ externalId: externalIdRule }, { externalId: ref.externalId });
    return { externalId: ref.externalId };
  }
  const { userId } = ref;
  if (!isUuid(userId)) throw new Rejected({ kind: 'field-invalid', violations: uuid(userId, 'user_id') });
  return { id: userId };
}

/** @throws Rejected `field-invalid` unless exactly one of `userId`, `email` and `externalId` is set */
export function parseUserRef(request: {
  readonly userId: string;
  readonly email: string;
  readonly externalId: string;
}): UserRef {
  const { userId, email, externalId } = request;
  const given = [
    ...(userId === '' ? [] : [{ userId }]),
    ...(email === '' ? [] : [{ email }]),
    ...(externalId === '' ? [] : [{ externalId }]),
  ];
  const [ref] = given;
  if (ref && given.length === 1) return ref;
  const description = 'set one of user_id, email and external_id';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'user_id', description }] });
}
