import type { AuthServiceService } from '../generated/postern/v1/auth.ts';
import type { AddFactorDependencies } from '../features/second-factors/add-factor.ts';
import {
  confirmFactor,
  type ConfirmTotpDependencies,
} from '../features/second-factors/totp/confirm-factor.ts';
import { deleteFactor } from '../features/second-factors/delete-factor.ts';
import { enrolTotp, type EnrolTotpDependencies } from '../features/second-factors/totp/enrol-totp.ts';
import { listFactors } from '../features/second-factors/list-factors.ts';
import { replaceRecoveryCodes } from '../features/second-factors/recovery-codes/replace-recovery-codes.ts';
import { callerOf } from '../rpc/call.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';
import { factorConfirmedMessage, factorListMessage, totpEnrolmentMessage } from './factor-messages.ts';

export interface OwnFactorDependencies
  extends AddFactorDependencies, ConfirmTotpDependencies, EnrolTotpDependencies {}

/** The RPCs about the calling user's own second factors, those about passkeys excepted. */
export function ownFactors(
  dependencies: OwnFactorDependencies,
): Pick<
  ServiceHandlers<typeof AuthServiceService>,
  'enrolTotp' | 'confirmFactor' | 'listFactors' | 'deleteFactor' | 'replaceRecoveryCodes'
> {
  return {
    enrolTotp: async ({ name }, call) =>
      totpEnrolmentMessage(await enrolTotp(dependencies, { name, caller: callerOf(call) }, call)),
    confirmFactor: async ({ factorId, code }, call) => {
      const confirmation = { factorId, code, caller: callerOf(call) };
      return factorConfirmedMessage(await confirmFactor(dependencies, confirmation, call));
    },
    listFactors: async (_request, call) =>
      factorListMessage(await listFactors(dependencies, { userId: callerOf(call).id }, call)),
    deleteFactor: async ({ factorId }, call) => {
      await deleteFactor(dependencies, { factorId, caller: callerOf(call) }, call);
      return {};
    },
    replaceRecoveryCodes: async (_request, call) => {
      const codes = await replaceRecoveryCodes(dependencies, { caller: callerOf(call) }, call);
      return { recoveryCodes: codes.map((code) => code.reveal()) };
    },
  };
}
