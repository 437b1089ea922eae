import type { OperationCall } from '../../domain/operation-call.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';
import type { Email } from '../users/email.ts';
import type { LoginRecord } from '../users/user-queries.ts';
import { type EvaluatedLogin, invalidCredentials, type LoginVerdict } from './login-verdict.ts';
import type { LoginThrottle } from './throttle/login-throttle.ts';

/**
 * A second check is needed when a concurrent login has upgraded the hash of an imported user. A third would take two such
 * changes during one attempt; it is refused like a wrong password.
 */
const MAX_CHECKS = 2;

export interface CheckPasswordDependencies {
  readonly hasher: PasswordHasher;
  readonly throttle: LoginThrottle;
  /** Called for a user whose stored hash is damaged, so that no password matches it: only a reset helps. */
  readonly onDamagedHash: (userId: string, damage: string) => void;
}

export interface PasswordAttempt<User extends LoginRecord> {
  /** The e-mail for which the throttle counts the attempt. */
  readonly email: Email;
  readonly password: string;
  /** Reads the user whose password is checked; null when there is no such user. */
  readonly findUser: () => Promise<User | null>;
  /** The user's id when an access token has proven it; names the user in the refusal after the user was deleted. */
  readonly userId?: string;
  /** Whether a refusal gets the refusal delay, so that its time does not reveal whether the user exists (L02). */
  readonly delaysRefusal: boolean;
}

/** A user whose password was right. The comparison ran without a lock on the user's row. */
export interface CheckedPassword<User extends LoginRecord = LoginRecord> {
  readonly user: User;
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
export async function checkPassword<User extends LoginRecord, T>(
  dependencies: CheckPasswordDependencies,
  attempt: PasswordAttempt<User>,
  call: OperationCall,
  proceed: (checked: CheckedPassword<User>) => Promise<EvaluatedLogin<T> | 'hash-changed'>,
): Promise<LoginVerdict<T>> {
  const { email } = attempt;
  return dependencies.throttle.guard({ email, address: call.origin.address }, call, async () => {
    for (let check = 1; ; check += 1) {
      const checked = await compare(dependencies, attempt, call);
      if (!checked.ok) return checked;
      const outcome = await proceed(checked.value);
      if (outcome !== 'hash-changed') return outcome;
      if (check === MAX_CHECKS) return invalidCredentials('wrong-password', checked.value.user.id);
    }
  });
}

async function compare<User extends LoginRecord>(
  { hasher, onDamagedHash }: CheckPasswordDependencies,
  { password, findUser, userId, delaysRefusal }: PasswordAttempt<User>,
  call: OperationCall,
): Promise<EvaluatedLogin<CheckedPassword<User>>> {
  const user = await findUser();
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
