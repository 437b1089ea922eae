import type { CallBudget } from '../../domain/operation-call.ts';
import { type Email, emailAddress, requireEmail } from './email.ts';
import { type FieldRules, optional, requireValid, text } from '../../domain/validation.ts';
import { listPage, type Page, type PageCursors, type PageRequest } from '../../domain/paging.ts';
import { roleName } from '../../domain/roles.ts';
import type { Database } from '../../database/database.ts';
import { listUsers as selectUsers } from './list-users-queries.ts';
import type { User } from './user-queries.ts';

/** Filters that are combined with AND. An empty string or undefined matches every user. */
export interface UserQuery {
  readonly email: string;
  readonly emailPrefix: string;
  readonly role: string;
  readonly disabled: boolean | undefined;
}

const rules: FieldRules<Omit<UserQuery, 'disabled'>> = {
  email: optional(emailAddress),
  emailPrefix: optional(
    text({
      minBytes: 1,
      maxBytes: 254,
      form: {
        pattern: /^[\x21-\x7e]+$/,
        description:
          'the beginning of an e-mail address in ASCII, with an international domain in its xn-- form',
      },
    }),
  ),
  role: optional(roleName),
};

/**
 * One page of users, the oldest first.
 *
 * @throws Rejected `field-invalid`, `store-unavailable`
 */
export async function listUsers(
  { database, cursors }: { readonly database: Database; readonly cursors: PageCursors },
  { email, emailPrefix, role, disabled, ...page }: UserQuery & PageRequest,
  call: CallBudget,
): Promise<Page<User>> {
  requireValid(rules, { email, emailPrefix, role });
  const filter = {
    email: email === '' ? null : requireEmail(email),
    // The rule admits only ASCII, so this folds case exactly as `canonicalEmail` does.
    emailPrefix: emailPrefix === '' ? null : emailPrefix.toLowerCase(),
    role: role === '' ? null : role,
    disabled: disabled ?? null,
  } satisfies { email: Email | null; [field: string]: unknown };
  return listPage(cursors, ['users', filter], page, (position) =>
    database.run(call, (db) => selectUsers(db, position, filter)),
  );
}
