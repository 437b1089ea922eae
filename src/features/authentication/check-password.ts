import type { OperationCall } from '../../domain/operation-call.ts';
import type { PasswordHasher } from '../../passwords/password-hasher.ts';
import type { Email } from '../users/email.ts';
import type { LoginRecord } from '../users/user-queries.ts';
import { type EvaluatedLogin, invalidCredentials, type LoginVerdict } from './login-verdict.ts';
import type { LoginThrottle } from './throttle/login-throttle.ts';

/** The second check meets the hash that the first login of an imported user stored meanwhile; a third has no honest cause. */
const MAX_CHECKS = 2;

export interface CheckPasswordDependencies {
  readonly hasher: PasswordHasher;
  readonly throttle: LoginThrottle;
  /** Told of a user whose stored hash no password can match any more: only a reset helps. */
  readonly onDamagedHash: (userId: string, damage: string) => void;
}

export interface PasswordAttempt<User extends LoginRecord> {
  /** The e-mail under which the attempt counts. */
  readonly email: Email;
  readonly password: string;
  /** Reads the user whose password it should be; null when there is none. */
  readonly findUser: () => Promise<User | null>;
  /** The user's id when the caller has proven it already, for the refusal of one who is gone. */
  readonly userId?: string;
  /** Whether the answer of a refusal is held, lest its time tell that there is such a user (L02). */
  readonly holdsRefusal: boolean;
}

/** A user whose password was right. It was compared without a lock on the user. */
export interface CheckedPassword<User extends LoginRecord = LoginRecord> {
  readonly user: User;
  /** Whether the stored hash is weaker than one that is made today (L04). */
  readonly needsRehash: boolean;
}

/**
 * Checks a password, and does with `proceed` what it is checked for. Both are one attempt of the throttle, which counts
 * before anything is evaluated. A user who does not exist, is disabled or has no password costs the same hash as a wrong
 * password.
 *
 * @param proceed gives `hash-changed` when another hash was stored since the check: then the password is checked again
 *   against that one. What it throws is no verdict, and the attempt does not count.
 * @throws Rejected `store-unavailable`, `server-overloaded`, `deadline-exceeded`, `cancelled`, and what `proceed` throws
 */
export async function checkPassword<User extends LoginRecord, T>(
  dependencies: CheckPasswordDependencies,
  attempt: PasswordAttempt<User>,
  call: OperationCall,
  proceed: (checked: CheckedPassword<User>) => Promise<EvaluatedLogin<T> | 'hash-changed'>,
): Promise<LoginVerdict<T>> {
  const subject = { email: attempt.email, address: call.origin.address };
  return dependencies.throttle.guard(subject, call, async () => {
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
  { password, findUser, userId, holdsRefusal }: PasswordAttempt<User>,
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
  const holdMs = holdsRefusal ? hasher.refusalDelayMs(verdict) : 0;
  return invalidCredentials(causeOf(user, verdict.matches), user?.id ?? userId, holdMs);
}

function causeOf(user: LoginRecord | null, matches: boolean) {
  if (!user) return 'unknown-user';
  if (user.passwordHash === null) return 'no-password';
  return matches ? 'disabled' : 'wrong-password';
}
