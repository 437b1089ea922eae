import { randomBytes } from 'node:crypto';

import type { Caller } from '../../../domain/caller.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { uuidV7 } from '../../../domain/uuid.ts';
import { isUuid, requireValid } from '../../../domain/validation.ts';
import { sessionEnded } from '../../sessions/session-ended.ts';
import { useOnce } from '../../used-once/used-once-queries.ts';
import {
  addFactor,
  type AddedFactor,
  type AddFactorDependencies,
  requireRoomForFactor,
} from '../add-factor.ts';
import { authorizeFactorChange } from '../authorize-factor-change.ts';
import { factorName } from '../factor.ts';
import { insertPasskey, listCredentials } from './passkey-queries.ts';
import type { BegunPasskey, Passkeys } from './passkeys.ts';
import { passkeyAnswerRules } from './passkey-answer.ts';
import { type PasskeyAnswer, passkeyMethods, passkeyRefused } from './prove-passkey.ts';
import { readRegistrationAnswer } from '../webauthn/credential-json.ts';
import { verifyRegistration } from '../webauthn/verify-registration.ts';

export interface RegisterPasskeyDependencies extends AddFactorDependencies {
  readonly passkeys: Passkeys;
}

/**
 * Makes the challenge for a new passkey of the calling user. Nothing is stored.
 *
 * @throws Rejected `passkeys-disabled`, `step-up-required`, `token-refused`, `factor-limit-reached`, `store-unavailable`
 */
export async function beginPasskeyRegistration(
  { database, passkeys, nowMs }: RegisterPasskeyDependencies,
  { caller }: { readonly caller: Caller },
  call: OperationCall,
): Promise<BegunPasskey> {
  passkeys.relyingParty();
  return database.transaction(call, async (trx) => {
    const { user, factors } = await authorizeFactorChange(trx, caller, nowMs());
    requireRoomForFactor(factors);
    const credentials = await listCredentials(trx, user.id);
    return passkeys.beginRegistration({ id: user.id, email: user.email, credentials });
  });
}

/**
 * Adds the passkey that an authenticator has made for the calling user.
 *
 * @throws Rejected `field-invalid`, `passkeys-disabled`, `passkey-invalid`, and those of `addFactor`
 */
export async function finishPasskeyRegistration(
  dependencies: RegisterPasskeyDependencies,
  { name, caller, ...answer }: PasskeyAnswer & { readonly name: string; readonly caller: Caller },
  call: OperationCall,
): Promise<AddedFactor> {
  requireValid({ ...passkeyAnswerRules, name: factorName }, { ...answer, name });
  const { passkeys } = dependencies;
  const userId = caller.id;
  if (!isUuid(userId)) throw sessionEnded();
  const challenge = passkeys.openChallenge(answer.challengeToken, { purpose: 'registration', userId });
  if (typeof challenge === 'string') throw refused(`challenge-${challenge}`, userId);
  const registration = readRegistrationAnswer(answer.credentialJson);
  if (!registration) throw refused('malformed', userId);
  const verdict = verifyRegistration(registration, challenge.expectation);
  if (!verdict.ok) throw refused(verdict.fault, userId);
  const { credential } = verdict;
  return addFactor(
    dependencies,
    caller,
    async (trx, { user }) => {
      if (!(await useOnce(trx, challenge.usedOnce))) throw refused('used', user.id);
      const id = uuidV7(Date.now(), randomBytes(16));
      const row = { ...credential, id, userId: user.id, name, transports: registration.transports };
      const factor = await insertPasskey(trx, { ...row, mac: passkeys.macs.of(row) });
      if (factor === null) throw refused('registered-already', user.id);
      return { factor, amr: passkeyMethods(credential) };
    },
    call,
  );
}

function refused(cause: string, userId: string): Rejected {
  const actor = { type: 'user', id: userId } as const;
  const { refusal } = passkeyRefused(cause, userId);
  return new Rejected({ ...refusal, subject: { ...refusal.subject, actor } });
}
