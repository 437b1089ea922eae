import { ADMIN_ROLE } from '../../../domain/caller.ts';
import { canonicalEmail, type Email } from '../email.ts';
import { externalIdRule } from '../external-id.ts';
import type { ImportRow, UnreadableRow } from './import-row.ts';
import type { FieldViolation } from '../../../domain/rejection.ts';
import { userRoles } from '../../../domain/roles.ts';
import { tokenRoomViolations } from '../../../domain/claims/token-room.ts';
import { idToGive } from '../../../domain/validation.ts';
import { validateImportedHash } from '../../../passwords/validate-imported-hash.ts';

/** A valid row in the form in which it is stored. */
export interface AcceptedRow {
  readonly email: Email;
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
  /** null for a new id. */
  readonly id: string | null;
  readonly externalId: string | null;
}

/** Validates a row. `reason` lists all violations in one line. Computes no hash, so it takes microseconds a row. */
export function validateImportRow(
  row: ImportRow | UnreadableRow,
  policy: { readonly allowAdmin: boolean; readonly tokenRoom: number },
): { ok: true; accepted: AcceptedRow } | { ok: false; reason: string } {
  if ('unreadable' in row) return { ok: false, reason: row.unreadable };
  const canonical = canonicalEmail(row.email);
  const hash = importedHash(row.passwordHash);
  const { id = null, externalId = null } = row;
  const violations = [
    ...(canonical.ok ? [] : [{ field: 'email', description: canonical.description }]),
    ...(hash.ok ? [] : [{ field: 'password_hash', description: hash.reason }]),
    ...userRoles(row.roles, 'roles'),
    ...(policy.allowAdmin || !row.roles.includes(ADMIN_ROLE) ? [] : [ADMIN_NOT_ALLOWED]),
    ...(id === null ? [] : idToGive(id, 'id')),
    ...(externalId === null ? [] : externalIdViolations(externalId, row.roles, policy.tokenRoom)),
  ];
  if (!canonical.ok || !hash.ok || violations.length > 0) {
    return {
      ok: false,
      reason: violations.map(({ field, description }) => `${field}: ${description}`).join('; '),
    };
  }
  const { disabled } = row;
  const roles = [...new Set(row.roles)].sort();
  return {
    ok: true,
    accepted: { email: canonical.email, passwordHash: hash.stored, roles, disabled, id, externalId },
  };
}

/** Imports must not create administrators unnoticed: in another system `admin` may mean less. */
const ADMIN_NOT_ALLOWED: FieldViolation = {
  field: 'roles',
  description: `must not have ${ADMIN_ROLE} unless administrators are allowed in this import`,
};

function externalIdViolations(externalId: string, roles: readonly string[], tokenRoom: number) {
  const violations = externalIdRule(externalId, 'external_id');
  return violations.length > 0
    ? violations
    : tokenRoomViolations(tokenRoom, { roles, externalId }, 'external_id');
}

function importedHash(
  passwordHash: string | null,
): { ok: true; stored: string | null } | { ok: false; reason: string } {
  return passwordHash === null ? { ok: true, stored: null } : validateImportedHash(passwordHash);
}
