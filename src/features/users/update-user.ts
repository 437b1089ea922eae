import type { AuditAction, AuditActor, AuditEvent } from '../../domain/audit-event.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { type Email, emailAddress, requireEmail } from './email.ts';
import { type FieldRules, ifDefined, requireValid } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import { userEtag } from './user-etag.ts';
import { userRoles } from '../../domain/roles.ts';
import { tokenRoomViolations } from '../../domain/claims/token-room.ts';
import { insertAuditEvent } from '../audit/audit-queries.ts';
import type { Database, Transaction } from '../../database/database.ts';
import { deletePasswordReset } from './password-reset-queries.ts';
import { endSessions } from '../sessions/session-queries.ts';
import { lockUserDetails, replaceUser, type User } from './user-queries.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import { requireRemainingAdmin } from './require-remaining-admin.ts';
import { resolveUserRef, type UserRef } from './user-ref.ts';

/** New values; a field that is undefined stays unchanged. */
export interface UserChanges {
  readonly email?: string | undefined;
  readonly roles?: readonly string[] | undefined;
  readonly disabled?: boolean | undefined;
}

export interface UserUpdate {
  readonly user: UserRef;
  /** The state that the change applies to (`userEtag`); empty to change any state. */
  readonly etag: string;
  readonly changes: UserChanges;
  readonly actor: AuditActor;
  /** Action in the audit trail. */
  readonly action: Extract<AuditAction, 'user.update' | 'user.disable' | 'user.enable'>;
}

export interface UpdateUserDependencies {
  readonly database: Database;
  readonly trust: Pick<TrustBundle, 'revoke'> | null;
  /** From `tokenRoomOf`. Left out, the roles of a user with an external id cannot be changed. */
  readonly tokenRoom?: number;
}

const rules: FieldRules<Pick<UserChanges, 'email' | 'roles'>> = {
  email: ifDefined(emailAddress),
  roles: ifDefined(userRoles),
};

/**
 * Changes a user. Disabling the user, a new e-mail and new roles end the user's sessions, because the claims of their
 * tokens no longer hold. Disabling and a new e-mail also delete a pending password reset. Idempotent.
 *
 * @param dependencies.trust see `deleteServiceAccount`
 * @throws Rejected `field-invalid`, `not-found`, `conflict`, `last-admin`, `email-taken`, `store-unavailable`
 */
export async function updateUser(
  { database, trust, tokenRoom }: UpdateUserDependencies,
  { user: ref, etag, changes, actor, action }: UserUpdate,
  call: OperationCall,
): Promise<User> {
  const { email, roles, disabled } = changes;
  requireValid(rules, { email, roles });
  const selector = resolveUserRef(ref);
  const requested = {
    ...(email !== undefined && { email: requireEmail(email) }),
    ...(roles !== undefined && { roles: [...new Set(roles)].sort() }),
    ...(disabled !== undefined && { disabled }),
  };
  const { user, revocations } = await database.transaction(call, async (trx) => {
    const before = await lockUserDetails(trx, selector);
    if (!before) throw new Rejected({ kind: 'not-found', resource: 'user' });
    if (etag !== '' && etag !== userEtag(before)) throw new Rejected({ kind: 'conflict' });
    const target = { ...before, email: before.email as Email, ...requested };
    const changed = differences(before, target);
    if (changed.includes('roles')) requireTokenRoom(before, target, tokenRoom);
    await requireRemainingAdmin(trx, before, target);
    const after = changed.length > 0 ? await replaceUser(trx, target) : before;
    // A reset token may still lie in the old mailbox, or date from before the user was disabled.
    if (after.disabled || changed.includes('email')) await deletePasswordReset(trx, after.id);
    const ended = await endStaleSessions(trx, after, changed);
    const event: AuditEvent = {
      action,
      outcome: 'ok',
      actor,
      target: { type: 'user', id: after.id },
      details: { before: auditView(before), after: auditView(after), changed, sessions: ended.length },
    };
    await insertAuditEvent(trx, { event, origin: call.origin });
    return { user: after, revocations: ended };
  });
  trust?.revoke(revocations);
  return user;
}

/** Shorter roles are always accepted: what does not fit after a change of the settings must be mendable step by step. */
function requireTokenRoom(before: User, target: Pick<User, 'roles' | 'externalId'>, tokenRoom = 0): void {
  const violations = tokenRoomViolations(tokenRoom, target, 'roles');
  const isLonger = JSON.stringify(target.roles).length > JSON.stringify(before.roles).length;
  if (isLonger && violations.length > 0) throw new Rejected({ kind: 'field-invalid', violations });
}

type MutableField = 'email' | 'roles' | 'disabled';

function differences(before: User, after: Pick<User, MutableField>): MutableField[] {
  return (['email', 'roles', 'disabled'] as const).filter(
    (field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]),
  );
}

async function endStaleSessions(
  trx: Transaction,
  user: User,
  changed: readonly MutableField[],
): Promise<Revocation[]> {
  if (user.disabled) return endSessions(trx, { userId: user.id }, 'user-disabled');
  const tokensAreStale = changed.includes('email') || changed.includes('roles');
  return tokensAreStale ? endSessions(trx, { userId: user.id }, 'user-changed') : [];
}

/** The audit trail holds no e-mail; the id in its target identifies the user. */
function auditView({ roles, disabled }: User): object {
  return { roles, disabled };
}
