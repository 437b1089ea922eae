import type { Caller } from '../../../domain/caller.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { requireValid, uuid } from '../../../domain/validation.ts';
import type { Transaction } from '../../../database/database.ts';
import { addFactor, type AddedFactor, type AddFactorDependencies } from '../add-factor.ts';
import { deleteCodeFailures } from '../code-failure-queries.ts';
import { type Factor, presentedCode } from '../factor.ts';
import { confirmTotp, findPendingTotp } from '../factor-queries.ts';
import { parsePresentedCode } from '../recovery-codes/recovery-code.ts';
import { matchingStep } from './totp.ts';
import type { TotpSecrets } from './totp-secrets.ts';

/** The resource of a `not-found`. */
export const PENDING_FACTOR = 'pending factor';

export interface ConfirmTotpDependencies {
  readonly totpSecrets: TotpSecrets;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

export interface FactorConfirmation {
  readonly factorId: string;
  readonly code: string;
}

/**
 * Confirms a pending TOTP factor of the calling user by a code of it. Wrong codes are not limited: the caller has been given the
 * secret.
 *
 * @throws Rejected `field-invalid`, `not-found`, `second-factor-invalid`, and those of `addFactor`
 */
export async function confirmFactor(
  dependencies: AddFactorDependencies & ConfirmTotpDependencies,
  { caller, ...confirmation }: FactorConfirmation & { readonly caller: Caller },
  call: OperationCall,
): Promise<AddedFactor> {
  requireValid({ factorId: uuid, code: presentedCode }, confirmation);
  return addFactor(
    dependencies,
    caller,
    async (trx, { user }) => ({
      factor: await confirmPendingTotp(trx, dependencies, { ...confirmation, userId: user.id }),
      amr: ['otp'],
    }),
    call,
  );
}

/**
 * Confirms a pending factor of a user whose row the caller has locked. The wrong codes before are forgotten: they guessed at other
 * factors or, of a user who had none, at nothing, and the new factor could not be used for a day. It gives nobody more guesses, since
 * whoever may confirm a factor has proven one, unless there was none.
 *
 * @throws Rejected `not-found`, `second-factor-invalid`
 */
export async function confirmPendingTotp(
  trx: Transaction,
  { totpSecrets, nowMs }: ConfirmTotpDependencies,
  { userId, factorId: id, code }: FactorConfirmation & { readonly userId: string },
): Promise<Factor> {
  const pending = await findPendingTotp(trx, { userId, id });
  if (pending === null) throw new Rejected({ kind: 'not-found', resource: PENDING_FACTOR });
  const secret = totpSecrets.open({ id, userId }, pending.sealedSecret);
  if ('fault' in secret) throw invalid('unreadable', userId);
  const presented = parsePresentedCode(code);
  const step = presented.kind === 'totp' ? matchingStep(secret, presented.code, nowMs() / 1000) : null;
  if (step === null) throw invalid('wrong', userId);
  await deleteCodeFailures(trx, userId);
  return confirmTotp(trx, { id, step });
}

function invalid(cause: 'wrong' | 'unreadable', userId: string): Rejected {
  const user = { type: 'user', id: userId } as const;
  return new Rejected({ kind: 'second-factor-invalid', cause, subject: { actor: user, target: user } });
}
