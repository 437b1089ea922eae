import type { OperationCall } from '../../domain/operation-call.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';
import type { Email } from '../users/email.ts';
import type { Database } from '../../database/database.ts';
import { findLoginRecordById, type LoginRecord } from '../users/user-queries.ts';
import { type EvaluatedLogin, invalidCredentials, type LoginVerdict } from './login-verdict.ts';
import type { AdmittedAttempt, LoginThrottle } from './throttle/login-throttle.ts';

/**
 * A second check is needed when a concurrent login has upgraded the hash of an imported user. A third would take two such
 * changes during one attempt; it is refused like a wrong password.
 */
const MAX_CHECKS = 2;

export interface CheckPasswordDependencies {
  readonly database: Database;
  readonly hasher: PasswordHasher;
  readonly throttle: LoginThrottle;
  /** Called for a user whose stored hash is damaged, so that no password matches it: only a reset helps. */
  readonly onDamagedHash: (userId: string, damage: string) => void;
}

export interface PasswordAttempt {
  /** The e-mail for which the throttle counts the attempt. */
  readonly email: Email;
  readonly password: string;
  /** The user's id when an access token has proven it: only this user's password is checked, and the refusal names the user. */
  readonly userId?: string;
  /** Whether a refusal gets the refusal delay, so that its time does not reveal whether the user exists (L02). */
  readonly delaysRefusal: boolean;
}

/** A user whose password was right. The comparison ran without a lock on the user's row. */
export interface CheckedPassword extends Pick<AdmittedAttempt, 'forgiven'> {
  readonly user: LoginRecord;
  /** Whether the stored hash is weaker than the current parameters (L04). */
  readonly needsRehash: boolean;
}

/**
 * Checks a password and, when it is right, runs `proceed`. Both are one attempt in the throttle, which counts it before
 * anything is evaluated. A user who does not exist, is disabled or has no password costs the same hash as a wrong
 * password.
 *
 * @param proceed returns `hash-changed` when another hash was stored since the check; the password is then checked
 *   against the new hash. When it throws, the attempt does not count.
 * @throws Rejected `store-unavailable`, `server-overloaded`, `deadline-exceeded`, `cancelled`, and any error of `proceed`
 */
export async function checkPassword<T>(
  dependencies: CheckPasswordDependencies,
  attempt: PasswordAttempt,
  call: OperationCall,
  proceed: (checked: CheckedPassword) => Promise<EvaluatedLogin<T> | 'hash-changed'>,
): Promise<LoginVerdict<T>> {
  const { email, userId } = attempt;
  const { throttle, database } = dependencies;
  return throttle.guard({ email, address: call.origin.address }, call, async ({ user: found, forgiven }) => {
    // The e-mail may be another user's by now.
    let user = userId === undefined || found?.id === userId ? found : null;
    for (let check = 1; ; check += 1) {
      const compared = await compare(dependencies, user, attempt, call);
      if (!compared.ok) return compared;
      const { id } = compared.value.user;
      const outcome = await proceed({ ...compared.value, forgiven });
      if (outcome !== 'hash-changed') return outcome;
      if (check === MAX_CHECKS) return invalidCredentials('wrong-password', id);
      user = await database.run(call, (db) => findLoginRecordById(db, id));
    }
  });
}

async function compare(
  { hasher, onDamagedHash }: CheckPasswordDependencies,
  user: LoginRecord | null,
  { password, userId, delaysRefusal }: PasswordAttempt,
  call: OperationCall,
): Promise<EvaluatedLogin<Omit<CheckedPassword, 'forgiven'>>> {
  const verdict = await hasher.verify(user?.passwordHash ?? null, password, {
    deadlineMs: call.deadlineMs,
    signal: call.signal,
    onDamage: (damage) => user && onDamagedHash(user.id, damage),
  });
  if (user && verdict.matches && !user.disabled) {
    return { ok: true, value: { user, needsRehash: verdict.needsRehash } };
  }
  const delayMs = delaysRefusal ? hasher.refusalDelayMs(verdict) : 0;
  return invalidCredentials(causeOf(user, verdict.matches), user?.id ?? userId, delayMs);
}

function causeOf(user: LoginRecord | null, matches: boolean) {
  if (!user) return 'unknown-user';
  if (user.passwordHash === null) return 'no-password';
  return matches ? 'disabled' : 'wrong-password';
}
