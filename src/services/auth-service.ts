import type { Caller } from '../domain/caller.ts';
import { type AuthServiceService, type LoginRequest, type TokenSet } from '../generated/postern/v1/auth.ts';
import type { OperationCall } from '../domain/operation-call.ts';
import { Rejected } from '../domain/rejection.ts';
import type { PasswordChange } from '../features/authentication/change-password.ts';
import type {
  IssuedServiceToken,
  ServiceTokenInput,
} from '../features/service-accounts/issue-service-token.ts';
import type { IssuedTokens } from '../features/sessions/access-token-issuer.ts';
import type { LoginInput } from '../features/authentication/login.ts';
import { callerOf } from '../rpc/call.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';
import { type VerificationOperations, verificationService } from './verification-service.ts';

const RETRY_AFTER_MS = 1_000;

/** What the service does, wired to its dependencies in `compose/services.ts`. */
export interface AuthOperations extends VerificationOperations {
  login(input: LoginInput, call: OperationCall): Promise<IssuedTokens>;
  refreshToken(input: { refreshToken: string }, call: OperationCall): Promise<IssuedTokens>;
  /** Gives whether anything ended. */
  revokeToken(input: { token: string; allSessions: boolean }, call: OperationCall): Promise<boolean>;
  issueServiceToken(input: ServiceTokenInput, call: OperationCall): Promise<IssuedServiceToken>;
  changePassword(input: PasswordChange & { caller: Caller }, call: OperationCall): Promise<IssuedTokens>;
  resetPassword(input: { resetToken: string; newPassword: string }, call: OperationCall): Promise<void>;
  /** Null while no keys are known yet. */
  getJwks(): { json: string; maxAgeSeconds: number } | null;
}

/** postern.v1.AuthService: wire to operation and back. */
export function authService(operations: AuthOperations): ServiceHandlers<typeof AuthServiceService> {
  return {
    login: async (request, call) => tokenSet(await operations.login(loginInput(request), call)),
    ...verificationService(operations),
    refreshToken: async (request, call) => tokenSet(await operations.refreshToken(request, call)),
    revokeToken: async (request, call) => {
      const hasEnded = await operations.revokeToken(request, call);
      if (!hasEnded) call.noteNothingDone();
      return {};
    },
    issueServiceToken: async ({ clientId, clientSecret, audience }, call) =>
      serviceTokenSet(await operations.issueServiceToken({ clientId, clientSecret, audience }, call)),
    changePassword: async ({ currentPassword, newPassword }, call) =>
      tokenSet(
        await operations.changePassword({ currentPassword, newPassword, caller: callerOf(call) }, call),
      ),
    resetPassword: async ({ resetToken, newPassword }, call) => {
      await operations.resetPassword({ resetToken, newPassword }, call);
      return {};
    },
    getJwks: () => {
      const keySet = operations.getJwks();
      if (keySet === null) throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
      return { jwks: keySet.json, maxAge: keySet.maxAgeSeconds };
    },
  };
}

function loginInput({ email, password, audience, client }: LoginRequest): LoginInput {
  return { email, password, audience, client };
}

function tokenSet(tokens: IssuedTokens): TokenSet {
  return {
    accessToken: tokens.accessToken,
    tokenType: 'bearer',
    expiresIn: tokens.expiresInSeconds,
    refreshToken: tokens.refreshToken,
    refreshExpiresIn: tokens.refreshExpiresInSeconds,
    sessionId: tokens.sessionId,
    userId: tokens.userId,
  };
}

/** A service has no session and nothing to refresh: it asks again with its secret. */
function serviceTokenSet({ accessToken, expiresInSeconds }: IssuedServiceToken): TokenSet {
  const noSession = { refreshToken: '', refreshExpiresInSeconds: 0, sessionId: '', userId: '' };
  return tokenSet({ accessToken, expiresInSeconds, ...noSession });
}
