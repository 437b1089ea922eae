import type { CallOrigin, OperationCall } from '../../domain/operation-call.ts';
import { canonicalEmail, type Email, emailAddress } from '../users/email.ts';
import { type FieldRules, ipAddress, nested, optional, requireValid, text } from '../../domain/validation.ts';
import { plainIp } from '../../net/cidr.ts';
import { passwordToCheckAtLogin } from '../../passwords/password-policy.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';
import type { Database } from '../../database/database.ts';
import { findLoginRecord, lockUser, type LoginRecord, upgradePasswordHash } from '../users/user-queries.ts';
import type { RefreshTokens } from '../../tokens/issue/refresh-token-codec.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { AccessTokenIssuer, IssuedTokens } from '../sessions/access-token-issuer.ts';
import type { LoginThrottle } from './throttle/login-throttle.ts';
import { type OpenedSession, openSession } from '../sessions/open-session.ts';
import type { SessionPolicy } from '../sessions/session-policy.ts';

export interface LoginInput {
  readonly email: string;
  readonly password: string;
  /** Empty for the default audience. */
  readonly audience: string;
  readonly client: { readonly address: string; readonly userAgent: string } | undefined;
}

const rules: FieldRules<LoginInput> = {
  email: emailAddress,
  password: passwordToCheckAtLogin,
  audience: optional(text({ minBytes: 1, maxBytes: 256 })),
  client: nested({
    address: optional(ipAddress),
    userAgent: optional(text({ minBytes: 1, maxBytes: 256 })),
  }),
};

export interface LoginDependencies {
  readonly database: Database;
  readonly hasher: PasswordHasher;
  readonly issuer: AccessTokenIssuer;
  readonly refreshTokens: () => RefreshTokens;
  readonly policy: SessionPolicy;
  readonly trust: TrustBundle;
  readonly throttle: LoginThrottle;
  /** Told of a user whose stored hash no password can match any more: only a reset helps. */
  readonly onDamagedHash: (userId: string, damage: string) => void;
}

/** What is to be checked, and for what. */
interface LoginAttempt {
  readonly email: Email;
  readonly password: string;
  readonly audience: string;
  readonly origin: CallOrigin;
}

type OpenedFor = OpenedSession & { readonly userId: string; readonly roles: readonly string[] };

/**
 * Checks an e-mail and a password and opens a session. A user who does not exist, is disabled or has no password costs
 * the same hash as a wrong password and is refused alike.
 *
 * @throws Rejected `field-invalid`, `invalid-credentials`, `store-unavailable`, `server-overloaded`
 */
export async function login(
  dependencies: LoginDependencies,
  input: LoginInput,
  call: OperationCall,
): Promise<IssuedTokens> {
  const { issuer } = dependencies;
  requireValid(rules, input);
  const audience = issuer.audienceFor(input.audience);
  const canonical = canonicalEmail(input.email);
  if (!canonical.ok) throw new Error('a checked e-mail has no canonical form');

  const attempt = {
    email: canonical.email,
    password: input.password,
    audience,
    origin: originOf(input, call.origin),
  };
  // A login may wait honestly for its turn and its hash: each use of the database has its limit by itself.
  const patient = { deadlineMs: call.deadlineMs, signal: call.signal, origin: attempt.origin };
  const subject = { email: canonical.email, address: attempt.origin.address };
  const opened = await dependencies.throttle.guard(subject, patient, async () => {
    // A first login beside this one may have stored a stronger hash meanwhile: then the password is checked against that.
    const first = await checkAndOpen(dependencies, attempt, patient);
    const result = first ?? (await checkAndOpen(dependencies, attempt, patient));
    if (result === null) throw new Rejected({ kind: 'invalid-credentials', cause: 'wrong-password' });
    return result;
  });
  const { token, expiresInSeconds } = await issuer.issueToUser({
    userId: opened.userId,
    sessionId: opened.sessionId,
    roles: opened.roles,
    audience,
  });
  const { sessionId, userId, refreshToken, refreshExpiresInSeconds } = opened;
  return {
    accessToken: token,
    expiresInSeconds,
    refreshToken,
    refreshExpiresInSeconds,
    sessionId,
    userId,
  };
}

/** null when another hash was stored between the check and the opening of the session. */
async function checkAndOpen(
  dependencies: LoginDependencies,
  attempt: LoginAttempt,
  call: OperationCall,
): Promise<OpenedFor | null> {
  const { database, hasher } = dependencies;
  const record = await database.run(call, (db) => findLoginRecord(db, attempt.email));
  const verdict = await hasher.verify(record?.passwordHash ?? null, attempt.password, {
    deadlineMs: call.deadlineMs,
    signal: call.signal,
    onDamage: (damage) => record && dependencies.onDamagedHash(record.id, damage),
  });
  const user = admitted(record, verdict.matches, hasher.holdMsOf(verdict));
  const stronger = verdict.needsRehash ? await strongerHash(hasher, attempt.password, call) : null;
  return openFor(dependencies, user, { ...attempt, stronger }, call);
}

/**
 * The password was checked without a lock; under it the user must still be who was checked, or a password changed, or a
 * user disabled, at this very moment would leave a session behind.
 */
async function openFor(
  { database, refreshTokens, policy, trust }: LoginDependencies,
  user: LoginRecord,
  { audience, stronger, origin }: LoginAttempt & { readonly stronger: string | null },
  call: OperationCall,
): Promise<OpenedFor | null> {
  const opened = await database.transaction(call, async (trx) => {
    const locked = admitted(await lockUser(trx, user.id), true);
    if (locked.passwordHash !== user.passwordHash) return null;
    if (stronger !== null && user.passwordHash !== null) {
      await upgradePasswordHash(trx, { id: user.id, from: user.passwordHash, to: stronger });
    }
    const opening = { userId: user.id, audience, action: 'login' } as const;
    const session = await openSession(trx, { refreshTokens: refreshTokens(), policy }, opening, origin);
    return { ...session, userId: user.id, roles: locked.roles };
  });
  if (opened !== null) trust.revoke(opened.revocations);
  return opened;
}

/** What a trusted caller says of its own caller counts; what anybody else says is not believed (L12). */
function originOf({ client }: LoginInput, origin: CallOrigin): CallOrigin {
  if (!client || !origin.isTrustedForwarder) return origin;
  return {
    ...origin,
    address: plainIp(client.address),
    userAgent: client.userAgent === '' ? null : client.userAgent,
  };
}

function admitted(record: LoginRecord | null, matches: boolean, holdMs = 0): LoginRecord {
  if (record && matches && !record.disabled) return record;
  const cause = !record
    ? 'unknown-user'
    : record.passwordHash === null
      ? 'no-password'
      : matches
        ? 'disabled'
        : 'wrong-password';
  const subject = record ? ({ target: { type: 'user', id: record.id } } as const) : {};
  throw new Rejected({ kind: 'invalid-credentials', cause, subject, holdMs });
}

/** The password is at hand only now; null when there is no room for the work, and the next login does it. */
async function strongerHash(
  hasher: PasswordHasher,
  password: string,
  call: OperationCall,
): Promise<string | null> {
  try {
    return await hasher.hash(password, call);
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return null;
  }
}
