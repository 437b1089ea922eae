import type { KeyedLimiter } from '../../domain/concurrency/keyed-limiter.ts';
import type { KeyedRate, KeyedRateLimiter } from '../../domain/concurrency/token-bucket.ts';
import { type OperationCall, withoutCancellation } from '../../domain/operation-call.ts';
import { Rejected } from '../../domain/rejection.ts';
import { type FieldRules, optional, requireValid, text } from '../../domain/validation.ts';
import { sourceOf } from '../../net/cidr.ts';
import { passkeyAnswerRules } from '../second-factors/passkeys/passkey-answer.ts';
import {
  checkPasskey,
  type CheckedPasskey,
  type PasskeyAnswer,
  passkeyRefused,
  usePasskey,
} from '../second-factors/passkeys/prove-passkey.ts';
import type { IssuedTokens } from '../sessions/access-token-issuer.ts';
import { completeLogin, type CompleteLoginDependencies, type LoginCompletion } from './complete-login.ts';
import { type LoginClient, loginClient, originOf, trustedClient } from './login-client.ts';
import type { EvaluatedLogin } from './login-verdict.ts';

export interface PasskeyLoginInput extends PasskeyAnswer {
  /** Empty for the default audience. */
  readonly audience: string;
  readonly client: LoginClient;
}

export interface PasskeyLoginDependencies extends CompleteLoginDependencies {
  /** By source: everybody may call, and a call costs a query and a signature. */
  readonly passkeyLimiter: KeyedLimiter;
  /** Failed logins by source. */
  readonly passkeyFailures: Pick<KeyedRateLimiter, 'take' | 'giveBack'>;
  /** By user: logins of one user wait here rather than for the lock on its row. */
  readonly sessionLimiter: KeyedLimiter;
}

/** How many logins of one source run at once, and wait for it. An office behind one address counts as one. */
export const PASSKEY_LOGIN_LIMITS = { concurrency: 8, maxWaiting: 200, maxWaitMs: 3_000 };
/**
 * A passkey cannot be guessed, so that this limits the cost of refused logins rather than guesses. It is held in memory:
 * counting in the database would cost more than what is refused.
 */
export const PASSKEY_FAILURE_RATE: KeyedRate = { burst: 60, intervalMs: 1_000, maxKeys: 10_000 };

const rules: FieldRules<PasskeyLoginInput> = {
  ...passkeyAnswerRules,
  audience: optional(text({ minBytes: 1, maxBytes: 256 })),
  client: loginClient,
};

/** As for passwords: a second attempt is needed when another login has upgraded the hash of an imported user. */
const MAX_ATTEMPTS = 2;

/** There is no e-mail by which the login throttle would have counted it. */
const NOTHING_FORGIVEN = { pair: new Uint8Array(), account: new Uint8Array(), knownSourceSeconds: 0 };

/**
 * Opens a session of level `aal2` for the user of a passkey. Every failure has the same answer, and what is not the caller's own
 * mistake takes the same time.
 *
 * @throws Rejected `field-invalid`, `passkeys-disabled`, `passkey-invalid`, `login-rate-limited`, `store-unavailable`,
 *   `server-overloaded`, `claims-too-long`, `trust-stale`
 */
export async function loginWithPasskey(
  dependencies: PasskeyLoginDependencies,
  input: PasskeyLoginInput,
  call: OperationCall,
): Promise<IssuedTokens> {
  const client = trustedClient(input.client, call.origin);
  requireValid(rules, { ...input, client });
  dependencies.passkeys.relyingParty();
  const audience = dependencies.issuer.audienceFor(input.audience);
  const origin = originOf(client, call.origin);
  // Like a login with a password it may wait long for others, so that each use of the database has its own budget.
  const loginCall = { deadlineMs: call.deadlineMs, signal: call.signal, origin };
  const source = sourceOf(origin.address);
  return dependencies.passkeyLimiter.run(source, () =>
    limitFailures(dependencies, { source, origin }, () => attempt(dependencies, input, audience, loginCall)),
  );
}

/**
 * Runs an attempt unless its source has failed too often. It counts as a failure while it runs, so that concurrent attempts do not
 * exceed the limit. Attempts that wait do not count: a whole office may log in at once.
 */
async function limitFailures<T>(
  { passkeyFailures }: Pick<PasskeyLoginDependencies, 'passkeyFailures'>,
  { source, origin }: { readonly source: string; readonly origin: OperationCall['origin'] },
  run: () => Promise<T>,
): Promise<T> {
  const retryAfterMs = passkeyFailures.take(source);
  if (retryAfterMs > 0) throw new Rejected({ kind: 'login-rate-limited', retryAfterMs, origin });
  try {
    const result = await run();
    passkeyFailures.giveBack(source);
    return result;
  } catch (error) {
    if (error instanceof Rejected && error.rejection.kind === 'passkey-invalid')
      throw new Rejected({ ...error.rejection, origin });
    passkeyFailures.giveBack(source);
    throw error;
  }
}

async function attempt(
  dependencies: PasskeyLoginDependencies,
  answer: PasskeyAnswer,
  audience: string,
  call: OperationCall,
): Promise<IssuedTokens> {
  const { database, passkeys, sessionLimiter } = dependencies;
  for (let count = 1; count <= MAX_ATTEMPTS; count += 1) {
    if (call.signal.aborted) throw new Rejected({ kind: 'cancelled' });
    // Without cancellation: a caller who cancels what is going to be refused would otherwise avoid both limits of its source.
    const checked = await database.run(withoutCancellation(call), (db) => checkPasskey(db, passkeys, answer));
    if (!checked.ok) throw new Rejected(checked.refusal);
    const passkey = checked.value;
    const { id } = passkey.user;
    const outcome = await sessionLimiter.run(id, () => openFor(dependencies, passkey, audience, call));
    if (outcome === 'hash-changed') continue;
    // Disabled or deleted since the check.
    if (!outcome.ok) throw new Rejected(passkeyRefused('disabled', id).refusal);
    return outcome.value;
  }
  throw new Rejected({ kind: 'conflict' });
}

/** Opens the session and uses the answer up in one transaction: either both happen or neither. */
async function openFor(
  dependencies: PasskeyLoginDependencies,
  passkey: CheckedPasskey,
  audience: string,
  call: OperationCall,
): Promise<EvaluatedLogin<IssuedTokens> | 'hash-changed'> {
  const authentication = {
    acr: 'aal2',
    // The authenticator has verified its user, so that the passkey alone is two factors (RFC 8176).
    amr: [...passkey.amr, 'mfa'],
    authenticatedAtSeconds: Math.floor(dependencies.nowMs() / 1000),
  } as const;
  const completion: LoginCompletion = {
    user: passkey.user,
    forgiven: NOTHING_FORGIVEN,
    audience,
    authentication,
    action: 'login',
    strongerHash: null,
    change: async (trx) => {
      const refused = await usePasskey(trx, passkey);
      if (refused) throw new Rejected(refused.refusal);
      return [];
    },
  };
  return completeLogin(dependencies, completion, call);
}
