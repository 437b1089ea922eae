import type { OperationCall } from '../../domain/operation-call.ts';
import type { Caller } from '../../domain/caller.ts';
import type { Email } from '../users/email.ts';
import { type FieldRules, isUuid, requireValid, unrestricted } from '../../domain/validation.ts';
import { normalisePassword, passwordToCheckAtLogin } from '../../passwords/password-policy.ts';
import { Rejected, type Rejection } from '../../domain/rejection.ts';
import type { Database, Transaction } from '../../database/database.ts';
import { dropPasswordReset } from '../users/password-reset-queries.ts';
import { endSessions, findSession } from '../sessions/session-queries.ts';
import { findLoginRecordById, lockUser, type LoginRecord, setPasswordHash } from '../users/user-queries.ts';
import type { RefreshTokens } from '../../tokens/issue/refresh-token-codec.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { AccessTokenIssuer, IssuedTokens } from '../sessions/access-token-issuer.ts';
import type { LoginThrottle } from './throttle/login-throttle.ts';
import { type OpenedSession, openSession } from '../sessions/open-session.ts';
import {
  passwordUnchanged,
  type PasswordTools,
  validateNewPassword,
} from '../users/validate-new-password.ts';
import type { SessionPolicy } from '../sessions/session-policy.ts';

export interface PasswordChange {
  readonly currentPassword: string;
  readonly newPassword: string;
}

export interface ChangePasswordDependencies {
  readonly database: Database;
  readonly passwords: PasswordTools;
  readonly issuer: AccessTokenIssuer;
  readonly refreshTokens: () => RefreshTokens;
  /** Of the token that was shown, and so of the new session. */
  readonly apiAudience: string;
  readonly policy: SessionPolicy;
  readonly trust: TrustBundle;
  readonly throttle: LoginThrottle;
}

const rules: FieldRules<PasswordChange> = {
  currentPassword: passwordToCheckAtLogin,
  newPassword: unrestricted,
};

type ChangedFor = OpenedSession & { readonly roles: readonly string[] };

/**
 * Sets another password for a user who knows the present one, ends all of the user's sessions and a pending reset, and
 * opens a new session for the audience of the token, in one transaction (L16). A token alone, stolen perhaps, changes nothing;
 * guesses of the password count as those at Login do.
 *
 * @throws Rejected `field-invalid`, `invalid-credentials`, `password-policy`, `token-refused` (the session has ended),
 *   `login-rate-limited`, `store-unavailable`, `server-overloaded`
 */
export async function changePassword(
  dependencies: ChangePasswordDependencies,
  { caller, ...change }: PasswordChange & { readonly caller: Caller },
  call: OperationCall,
): Promise<IssuedTokens> {
  requireValid(rules, change);
  const { database, throttle } = dependencies;
  const { email } = await recordOf(database, caller, call);
  const changed = await throttle.guard({ email, address: call.origin.address }, call, async () => {
    // A login beside this one may have stored a stronger hash of the same password meanwhile: then it is checked again.
    const first = await checkAndChange(dependencies, caller, change, call);
    const result = first ?? (await checkAndChange(dependencies, caller, change, call));
    if (result === null) throw refused('wrong-password', caller.id);
    return result;
  });
  dependencies.trust.revoke(changed.revocations);
  const { sessionId, roles, refreshToken, refreshExpiresInSeconds } = changed;
  const userId = caller.id;
  const { token, expiresInSeconds } = await dependencies.issuer.issueToUser({
    userId,
    sessionId,
    roles,
    audience: dependencies.apiAudience,
  });
  return { accessToken: token, expiresInSeconds, refreshToken, refreshExpiresInSeconds, sessionId, userId };
}

/** null when another hash was stored between the check and the change. */
async function checkAndChange(
  dependencies: ChangePasswordDependencies,
  caller: Caller,
  { currentPassword, newPassword }: PasswordChange,
  call: OperationCall,
): Promise<ChangedFor | null> {
  const { database, passwords } = dependencies;
  const record = await recordOf(database, caller, call);
  const { matches } = await passwords.hasher.verify(record.passwordHash, currentPassword, call);
  if (!matches) throw refused('wrong-password', record.id);
  if (record.disabled) throw refused('disabled', record.id);
  // One person sent both, and they are looked at only when one of them is right: there is nothing to find out by timing.
  if (normalisePassword(newPassword) === normalisePassword(currentPassword)) throw passwordUnchanged();
  // Only now: what the policy says of the new password tells something of the e-mail, which the token does not hold.
  await validateNewPassword(passwords, { password: newPassword, email: record.email, field: 'new_password' });
  const passwordHash = await passwords.hasher.hash(newPassword, call);
  return database.transaction(call, (trx) =>
    change(trx, dependencies, { caller, record, passwordHash }, call),
  );
}

async function recordOf(
  database: Database,
  { id }: Caller,
  call: OperationCall,
): Promise<LoginRecord & { readonly email: Email }> {
  const record = isUuid(id) ? await database.run(call, (db) => findLoginRecordById(db, id)) : null;
  if (!record) throw refused('unknown-user', id);
  return record;
}

async function change(
  trx: Transaction,
  { apiAudience: audience, refreshTokens, policy }: ChangePasswordDependencies,
  checked: { caller: Caller; record: LoginRecord; passwordHash: string },
  { origin }: OperationCall,
): Promise<ChangedFor | null> {
  const { caller, record, passwordHash } = checked;
  const userId = record.id;
  const locked = await lockUser(trx, userId);
  if (!locked || locked.disabled) throw refused(locked ? 'disabled' : 'unknown-user', userId);
  if (locked.passwordHash !== record.passwordHash) return null;
  await requireLiveSession(trx, caller.sessionId);
  await setPasswordHash(trx, userId, passwordHash);
  await dropPasswordReset(trx, userId);
  const ended = await endSessions(trx, { userId }, 'password-changed');
  const opening = { userId, audience, action: 'password.change' } as const;
  const opened = await openSession(trx, { refreshTokens: refreshTokens(), policy }, opening, origin);
  return { ...opened, revocations: [...ended, ...opened.revocations], roles: locked.roles };
}

/**
 * A session that another instance has just ended is seen here, though the news of it may not have come to this process
 * yet.
 */
async function requireLiveSession(trx: Transaction, sessionId: string | null): Promise<void> {
  // A token that another program signed with the shared secret names a session that is not in our table.
  const session = sessionId !== null && isUuid(sessionId) ? await findSession(trx, sessionId) : null;
  if (!session?.ended) return;
  throw new Rejected({
    kind: 'token-refused',
    refusal: { reason: 'TOKEN_REVOKED', detail: 'the session of the token has ended' },
  });
}

function refused(
  cause: Extract<Rejection, { kind: 'invalid-credentials' }>['cause'],
  userId: string,
): Rejected {
  const subject = { target: { type: 'user', id: userId } } as const;
  return new Rejected({ kind: 'invalid-credentials', cause, subject });
}
