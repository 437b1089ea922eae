import { ADMIN_ROLE } from '../../../domain/caller.ts';
import { canonicalEmail, type Email } from '../email.ts';
import type { ImportRow, UnreadableRow } from './import-row.ts';
import type { FieldViolation } from '../../../domain/rejection.ts';
import { userRoles } from '../../../domain/roles.ts';
import { validateImportedHash } from '../../../passwords/validate-imported-hash.ts';

/** A row that keeps all rules, in the form in which it is stored. */
export interface AcceptedRow {
  readonly email: Email;
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
}

/** What is stored of a row, or every rule that it breaks in one line. Does no hashing: microseconds a row. */
export function validateImportRow(
  row: ImportRow | UnreadableRow,
  policy: { allowAdmin: boolean },
): { ok: true; accepted: AcceptedRow } | { ok: false; reason: string } {
  if ('unreadable' in row) return { ok: false, reason: row.unreadable };
  const canonical = canonicalEmail(row.email);
  const violations = [
    ...(canonical.ok ? [] : [{ field: 'email', description: canonical.description }]),
    ...hashViolations(row.passwordHash),
    ...userRoles(row.roles, 'roles'),
    ...(policy.allowAdmin || !row.roles.includes(ADMIN_ROLE) ? [] : [unexpectedAdmin]),
  ];
  if (!canonical.ok || violations.length > 0) {
    return {
      ok: false,
      reason: violations.map(({ field, description }) => `${field}: ${description}`).join('; '),
    };
  }
  const { passwordHash, disabled } = row;
  const roles = [...new Set(row.roles)].sort();
  return { ok: true, accepted: { email: canonical.email, passwordHash, roles, disabled } };
}

/** A table from elsewhere must not bring administrators unseen: elsewhere the word may mean less. */
const unexpectedAdmin: FieldViolation = {
  field: 'roles',
  description: `must not have ${ADMIN_ROLE} unless administrators are allowed in this import`,
};

function hashViolations(passwordHash: string | null): FieldViolation[] {
  if (passwordHash === null) return [];
  const result = validateImportedHash(passwordHash);
  return result.ok ? [] : [{ field: 'password_hash', description: result.reason }];
}
