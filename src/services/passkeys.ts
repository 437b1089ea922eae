import type { AuthServiceService } from '../generated/postern/v1/auth.ts';
import {
  loginWithPasskey,
  type PasskeyLoginDependencies,
} from '../features/authentication/login-with-passkey.ts';
import {
  beginPasskeyRegistration,
  finishPasskeyRegistration,
  type RegisterPasskeyDependencies,
} from '../features/second-factors/passkeys/register-passkey.ts';
import { callerOf } from '../rpc/call.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';
import { factorConfirmedMessage } from './factor-messages.ts';
import { tokenSet } from './token-set.ts';

export interface PasskeyDependencies extends PasskeyLoginDependencies, RegisterPasskeyDependencies {
  readonly trust: PasskeyLoginDependencies['trust'];
}

/** The RPCs about passkeys: to make one, and to log in with it. */
export function passkeys(
  dependencies: PasskeyDependencies,
): Pick<
  ServiceHandlers<typeof AuthServiceService>,
  'beginPasskeyRegistration' | 'finishPasskeyRegistration' | 'beginPasskeyLogin' | 'loginWithPasskey'
> {
  return {
    beginPasskeyRegistration: (_request, call) =>
      beginPasskeyRegistration(dependencies, { caller: callerOf(call) }, call),
    finishPasskeyRegistration: async ({ challengeToken, credentialJson, name }, call) => {
      const answer = { challengeToken, credentialJson, name, caller: callerOf(call) };
      return factorConfirmedMessage(await finishPasskeyRegistration(dependencies, answer, call));
    },
    beginPasskeyLogin: () => dependencies.passkeys.beginLogin(),
    loginWithPasskey: async ({ challengeToken, credentialJson, audience, client }, call) => {
      const input = { challengeToken, credentialJson, audience, client };
      return tokenSet(await loginWithPasskey(dependencies, input, call));
    },
  };
}
