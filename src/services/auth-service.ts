import { type AuthServiceService, type LoginRequest, type TokenSet } from '../generated/postern/v1/auth.ts';
import { Rejected, RETRY_AFTER_MS } from '../domain/rejection.ts';
import {
  type ChangePasswordDependencies,
  changePassword,
} from '../features/authentication/change-password.ts';
import { login, type LoginDependencies, type LoginInput } from '../features/authentication/login.ts';
import {
  resetPassword,
  type ResetPasswordDependencies,
} from '../features/authentication/password-reset/reset-password.ts';
import { type RefreshDependencies, refreshToken } from '../features/authentication/refresh-session.ts';
import { type RevokeDependencies, revokeToken } from '../features/authentication/revoke-token.ts';
import { stepUp, type StepUpDependencies } from '../features/authentication/step-up.ts';
import { type VerifyDependencies, verifyToken } from '../features/authentication/verify-token.ts';
import {
  type IssuedServiceToken,
  issueServiceToken,
  type ServiceTokenDependencies,
} from '../features/service-accounts/issue-service-token.ts';
import {
  type ExchangedToken,
  type ExchangeDependencies,
  exchangeToken,
} from '../features/token-exchange/exchange-token.ts';
import { callerOf } from '../rpc/call.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';
import { ownApiKeys, type OwnApiKeyDependencies } from './own-api-keys.ts';
import { ownFactors, type OwnFactorDependencies } from './own-factors.ts';
import { type PasskeyDependencies, passkeys } from './passkeys.ts';
import { stepUpProof } from './step-up-proof.ts';
import { tokenSet } from './token-set.ts';
import { verificationService } from './verification-service.ts';

/** The dependencies of all operations of AuthService. */
export interface AuthDependencies
  extends
    LoginDependencies,
    ChangePasswordDependencies,
    RefreshDependencies,
    RevokeDependencies,
    ResetPasswordDependencies,
    StepUpDependencies,
    ServiceTokenDependencies,
    OwnApiKeyDependencies,
    OwnFactorDependencies,
    PasskeyDependencies {
  readonly trust: TrustBundle;
  readonly exchange: ExchangeDependencies;
  readonly verification: VerifyDependencies;
  /** The JWKS as JSON; null while no keys are known. */
  readonly jwks: () => { readonly json: string; readonly maxAgeSeconds: number } | null;
}

/** postern.v1.AuthService: request message → operation → response message. */
export function authService(dependencies: AuthDependencies): ServiceHandlers<typeof AuthServiceService> {
  const { verification, jwks } = dependencies;
  return {
    login: async (request, call) => tokenSet(await login(dependencies, loginInput(request), call)),
    ...verificationService({ verifyToken: (input) => verifyToken(verification, input) }),
    refreshToken: async (request, call) => tokenSet(await refreshToken(dependencies, request, call)),
    revokeToken: async (request, call) => {
      const didRevoke = await revokeToken(dependencies, request, call);
      if (!didRevoke) call.noteNoOp();
      return {};
    },
    issueServiceToken: async (request, call) =>
      serviceTokenSet(await issueServiceToken(dependencies, request, call)),
    exchangeToken: async (request, call) =>
      exchangedTokenSet(await exchangeToken(dependencies.exchange, request, call)),
    ...ownApiKeys(dependencies),
    ...ownFactors(dependencies),
    changePassword: async ({ currentPassword, newPassword }, call) => {
      const change = { currentPassword, newPassword, caller: callerOf(call) };
      return tokenSet(await changePassword(dependencies, change, call));
    },
    resetPassword: async ({ resetToken, newPassword }, call) => {
      await resetPassword(dependencies, { resetToken, newPassword }, call);
      return {};
    },
    stepUp: async (request, call) => {
      const step = { proof: stepUpProof(request), caller: callerOf(call) };
      return tokenSet(await stepUp(dependencies, step, call));
    },
    ...passkeys(dependencies),
    getJwks: () => {
      const keySet = jwks();
      if (keySet === null) throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
      return { jwks: keySet.json, maxAge: keySet.maxAgeSeconds };
    },
  };
}

function loginInput({ email, password, audience, client, code, passkey }: LoginRequest): LoginInput {
  return { email, password, audience, client, code, passkey };
}

/** A service account has no session and no refresh token: it requests a new access token with its secret. */
function serviceTokenSet({ accessToken, expiresInSeconds }: IssuedServiceToken): TokenSet {
  const noSession = { refreshToken: '', refreshExpiresInSeconds: 0, sessionId: '', userId: '' };
  return tokenSet({ accessToken, expiresInSeconds, ...noSession });
}

function exchangedTokenSet({ accessToken, expiresInSeconds, sessionId, userId }: ExchangedToken): TokenSet {
  const noRefreshToken = { refreshToken: '', refreshExpiresInSeconds: 0 };
  const ids = { sessionId: sessionId ?? '', userId: userId ?? '' };
  return tokenSet({ accessToken, expiresInSeconds, ...noRefreshToken, ...ids });
}
