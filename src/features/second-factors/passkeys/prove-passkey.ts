import type { Rejection } from '../../../domain/rejection.ts';
import type { Transaction } from '../../../database/database.ts';
import type { Queryable } from '../../sessions/open-session.ts';
import type { LoginRecord } from '../../users/user-queries.ts';
import { type UsedOnce, useOnce } from '../../used-once/used-once-queries.ts';
import { findPasskey, recordPasskeyUse } from './passkey-queries.ts';
import type { Passkeys } from './passkeys.ts';
import { readAssertionAnswer } from '../webauthn/credential-json.ts';
import { verifyAssertion } from '../webauthn/verify-assertion.ts';

/** What a browser answered to the challenge of BeginPasskeyLogin. */
export interface PasskeyAnswer {
  readonly challengeToken: string;
  readonly credentialJson: string;
}

export interface PasskeyRefused {
  readonly ok: false;
  readonly refusal: Extract<Rejection, { kind: 'passkey-invalid' }>;
}

/** A right answer, which is not used up yet. */
export interface CheckedPasskey {
  readonly factorId: string;
  readonly user: LoginRecord;
  /** `swk` for a passkey that can be synced to other devices, else `hwk` (RFC 8176). */
  readonly amr: readonly string[];
  readonly use: Parameters<typeof recordPasskeyUse>[1];
  readonly usedOnce: UsedOnce;
}

/**
 * Checks the answer of an authenticator and uses it up, within a transaction that holds the lock on the user.
 *
 * @param userId the user whose passkey it must be
 * @throws Rejected `passkeys-disabled`, `store-unavailable`
 */
export async function provePasskey(
  trx: Transaction,
  passkeys: Passkeys,
  answer: PasskeyAnswer,
  userId: string,
): Promise<{ readonly ok: true; readonly value: CheckedPasskey } | PasskeyRefused> {
  const checked = await checkPasskey(trx, passkeys, answer);
  if (!checked.ok) return checked;
  if (checked.value.user.id !== userId) return passkeyRefused('other-user', userId);
  const refused = await usePasskey(trx, checked.value);
  return refused ?? checked;
}

/**
 * Checks the answer of an authenticator. Whatever is wrong, it costs the same query and, unless the answer itself is malformed
 * or for another challenge or site, one signature: neither the answer nor its time tells whether a credential exists or whose it is.
 *
 * @throws Rejected `passkeys-disabled`, `store-unavailable`
 */
export async function checkPasskey(
  db: Queryable,
  passkeys: Passkeys,
  { challengeToken, credentialJson }: PasskeyAnswer,
): Promise<{ readonly ok: true; readonly value: CheckedPasskey } | PasskeyRefused> {
  const challenge = passkeys.openChallenge(challengeToken, { purpose: 'login', userId: null });
  if (challenge === 'unknown') return passkeyRefused('malformed');
  if (challenge === 'expired') return passkeyRefused('challenge-expired');
  const answer = readAssertionAnswer(credentialJson);
  if (!answer) return passkeyRefused('malformed');
  const row = await findPasskey(db, answer.credentialId);
  const { isKnown, ...credential } = passkeys.credentialOf(row);
  const verdict = verifyAssertion(answer, challenge.expectation, credential);
  if (row === null) return passkeyRefused('unknown');
  if (!isKnown) return passkeyRefused('forged', row.userId);
  if (!verdict.ok) return passkeyRefused(verdict.fault, row.userId);
  if (row.user.disabled) return passkeyRefused('disabled', row.userId);
  const { signCount, backedUp } = verdict;
  const value = {
    factorId: row.id,
    user: row.user,
    amr: passkeyMethods(row),
    use: { id: row.id, mac: row.mac, signCount, backedUp },
    usedOnce: challenge.usedOnce,
  };
  return { ok: true, value };
}

/** Uses up a right answer, in the transaction of what it is for. @returns null unless it was used before or its passkey has changed */
export async function usePasskey(
  trx: Transaction,
  { use, usedOnce, user }: CheckedPasskey,
): Promise<PasskeyRefused | null> {
  if (!(await useOnce(trx, usedOnce))) return passkeyRefused('used', user.id);
  return (await recordPasskeyUse(trx, use)) ? null : passkeyRefused('changed', user.id);
}

/** The methods of a passkey, for `amr`. */
export function passkeyMethods({ backupEligible }: { readonly backupEligible: boolean }): readonly string[] {
  return [backupEligible ? 'swk' : 'hwk'];
}

/** @param userId whose passkey was presented, for the audit trail */
export function passkeyRefused(cause: string, userId?: string): PasskeyRefused {
  const subject = userId === undefined ? {} : ({ target: { type: 'user', id: userId } } as const);
  return { ok: false, refusal: { kind: 'passkey-invalid', cause, subject } };
}
