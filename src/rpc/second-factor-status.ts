import { stepUpParameters } from '../domain/claims/authentication.ts';
import type { Rejection } from '../domain/rejection.ts';
import type { RpcStatus } from './rpc-status.ts';
import { Code } from './status-code.ts';

type SecondFactorRejection = Extract<
  Rejection,
  {
    kind:
      | 'second-factor-required'
      | 'second-factor-invalid'
      | 'step-up-required'
      | 'passkey-invalid'
      | 'passkeys-disabled'
      | 'factor-limit-reached';
  }
>;

/** The statuses of refusals that concern second factors, passkeys and the level of a session. */
export function secondFactorStatus(rejection: SecondFactorRejection): RpcStatus {
  switch (rejection.kind) {
    case 'second-factor-required':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'SECOND_FACTOR_REQUIRED',
        message: `the password alone is not enough, because the user has a second factor; call again with a code or a passkey (${rejection.factors.join(', ')})`,
        metadata: { factors: rejection.factors.join(',') },
      };
    case 'second-factor-invalid':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'SECOND_FACTOR_INVALID',
        message: 'the code is wrong, too old or used already; wait for the next one, or use a recovery code',
      };
    case 'passkey-invalid':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'PASSKEY_INVALID',
        message: 'the passkey is unknown, or its answer is wrong, too old or used already; begin again',
      };
    case 'step-up-required':
      return {
        code: Code.UNAUTHENTICATED,
        reason: 'STEP_UP_REQUIRED',
        message: rejection.detail,
        ...(rejection.requirement !== undefined && { metadata: stepUpParameters(rejection.requirement) }),
      };
    case 'passkeys-disabled':
      return { code: Code.FAILED_PRECONDITION, reason: 'PASSKEYS_DISABLED', message: rejection.detail };
    case 'factor-limit-reached':
      return {
        code: Code.RESOURCE_EXHAUSTED,
        reason: 'FACTOR_LIMIT_REACHED',
        message: `a user can have ${rejection.max} second factors; delete one first`,
      };
    default:
      return rejection satisfies never;
  }
}
