import { randomBytes } from 'node:crypto';

import type { CallBudget } from '../domain/call-budget.ts';
import { canonicalEmail, emailAddress } from '../domain/email.ts';
import { type FieldRules, ipAddress, nested, optional, requireValid, text } from '../domain/field-rules.ts';
import { passwordToCheckAtLogin } from '../domain/password-policy.ts';
import { Rejected } from '../domain/rejection.ts';
import { uuidV7 } from '../domain/uuid-v7.ts';
import type { PasswordHasher } from '../passwords/password-hasher.ts';
import type { Database } from '../store/database.ts';
import { findLoginRecord, type LoginRecord, upgradePasswordHash } from '../store/users.ts';
import type { AccessTokenIssuer } from './access-token-issuer.ts';

export interface LoginInput {
  readonly email: string;
  readonly password: string;
  /** Empty for the default audience. */
  readonly audience: string;
  readonly client: { readonly address: string; readonly userAgent: string } | undefined;
}

/** What a login gives. */
export interface IssuedTokens {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  readonly sessionId: string;
  readonly userId: string;
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

/**
 * Checks an e-mail and a password and opens a session. A user who does not exist, is disabled or has no password costs
 * the same hash as a wrong password and is refused alike.
 *
 * @throws Rejected `field-invalid`, `invalid-credentials`, `store-unavailable`, `server-overloaded`
 */
export async function login(
  dependencies: { database: Database; hasher: PasswordHasher; issuer: AccessTokenIssuer },
  input: LoginInput,
  budget: CallBudget,
): Promise<IssuedTokens> {
  const { database, hasher, issuer } = dependencies;
  requireValid(rules, input);
  const audience = issuer.audienceFor(input.audience);
  const canonical = canonicalEmail(input.email);
  if (!canonical.ok) throw new Error('a checked e-mail has no canonical form');

  const record = await database.run(budget, (db) => findLoginRecord(db, canonical.email));
  const { matches, needsRehash } = await hasher.verify(record?.passwordHash ?? null, input.password, budget);
  const user = admitted(record, matches);
  if (needsRehash) await strengthenHash(database, hasher, user, input.password, budget);

  const sessionId = uuidV7(Date.now(), randomBytes(16));
  const { token, expiresInSeconds } = await issuer.issueToUser({
    userId: user.id,
    sessionId,
    roles: user.roles,
    audience,
  });
  return { accessToken: token, expiresInSeconds, sessionId, userId: user.id };
}

function admitted(record: LoginRecord | null, matches: boolean): LoginRecord {
  if (record && matches && !record.disabled) return record;
  const cause = !record
    ? 'unknown-user'
    : record.passwordHash === null
      ? 'no-password'
      : matches
        ? 'disabled'
        : 'wrong-password';
  throw new Rejected({ kind: 'invalid-credentials', cause });
}

/** The password is at hand only now; when there is no room for the work, the next login does it. */
async function strengthenHash(
  database: Database,
  hasher: PasswordHasher,
  user: LoginRecord,
  password: string,
  budget: CallBudget,
): Promise<void> {
  const { id, passwordHash } = user;
  if (passwordHash === null) return;
  try {
    const stronger = await hasher.hash(password, budget);
    await database.run(budget, (db) => upgradePasswordHash(db, { id, from: passwordHash, to: stronger }));
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
  }
}
