import type { CallOrigin, OperationCall } from '../domain/call-origin.ts';
import { canonicalEmail, emailAddress } from '../domain/email.ts';
import { type FieldRules, ipAddress, nested, optional, requireValid, text } from '../domain/field-rules.ts';
import { passwordToCheckAtLogin } from '../domain/password-policy.ts';
import { Rejected } from '../domain/rejection.ts';
import type { PasswordHasher } from '../passwords/password-hasher.ts';
import type { Database } from '../store/database.ts';
import { findLoginRecord, lockUser, type LoginRecord, upgradePasswordHash } from '../store/users.ts';
import type { RefreshTokens } from '../tokens/refresh-token.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';
import type { AccessTokenIssuer } from './access-token-issuer.ts';
import type { IssuedTokens } from './issued-tokens.ts';
import { type OpenedSession, openSession } from './open-session.ts';
import type { SessionPolicy } from './session-policy.ts';

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
}

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
  const { database, hasher, issuer } = dependencies;
  requireValid(rules, input);
  const audience = issuer.audienceFor(input.audience);
  const canonical = canonicalEmail(input.email);
  if (!canonical.ok) throw new Error('a checked e-mail has no canonical form');

  const record = await database.run(call, (db) => findLoginRecord(db, canonical.email));
  const verdict = await hasher.verify(record?.passwordHash ?? null, input.password, call);
  if (!isAdmitted(record, verdict.matches)) await hasher.holdRefusal(verdict, call);
  const user = admitted(record, verdict.matches);
  const stronger = verdict.needsRehash ? await strongerHash(hasher, input.password, call) : null;
  const origin = originOf(input, call.origin);
  const opened = await openFor(dependencies, user, { audience, stronger, origin }, call);
  const { token, expiresInSeconds } = await issuer.issueToUser({
    userId: user.id,
    sessionId: opened.sessionId,
    roles: opened.roles,
    audience,
  });
  const { sessionId, refreshToken, refreshExpiresInSeconds } = opened;
  return {
    accessToken: token,
    expiresInSeconds,
    refreshToken,
    refreshExpiresInSeconds,
    sessionId,
    userId: user.id,
  };
}

/**
 * The password was checked without a lock; under it the user must still be who was checked, or a password changed, or a
 * user disabled, at this very moment would leave a session behind.
 */
async function openFor(
  { database, refreshTokens, policy, trust }: LoginDependencies,
  user: LoginRecord,
  { audience, stronger, origin }: { audience: string; stronger: string | null; origin: CallOrigin },
  call: OperationCall,
): Promise<OpenedSession & { roles: readonly string[] }> {
  const opened = await database.transaction(call, async (trx) => {
    const locked = await lockUser(trx, user.id);
    admitted(locked, locked?.passwordHash === user.passwordHash);
    if (stronger !== null && user.passwordHash !== null) {
      await upgradePasswordHash(trx, { id: user.id, from: user.passwordHash, to: stronger });
    }
    const opening = { userId: user.id, audience, action: 'login' } as const;
    const session = await openSession(trx, { refreshTokens: refreshTokens(), policy }, opening, origin);
    return { ...session, roles: locked?.roles ?? [] };
  });
  trust.revoke(opened.revocations);
  return opened;
}

/** What a trusted caller says of its own caller counts; what anybody else says is not believed (L12). */
function originOf({ client }: LoginInput, origin: CallOrigin): CallOrigin {
  if (!client || !origin.mayVouch) return origin;
  return {
    ...origin,
    address: client.address === '' ? null : client.address,
    userAgent: client.userAgent === '' ? null : client.userAgent,
  };
}

function isAdmitted(record: LoginRecord | null, matches: boolean): record is LoginRecord {
  return record !== null && matches && !record.disabled;
}

function admitted(record: LoginRecord | null, matches: boolean): LoginRecord {
  if (isAdmitted(record, matches)) return record;
  const cause = !record
    ? 'unknown-user'
    : record.passwordHash === null
      ? 'no-password'
      : matches
        ? 'disabled'
        : 'wrong-password';
  throw new Rejected({ kind: 'invalid-credentials', cause });
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
