import { type AuthServiceService, type LoginRequest, type TokenSet } from '../generated/postern/v1/auth.ts';
import type { OperationCall } from '../domain/call-origin.ts';
import type { IssuedTokens } from '../operations/issued-tokens.ts';
import type { LoginInput } from '../operations/login.ts';
import type { ServiceHandlers } from './serve-methods.ts';
import { type VerificationOperations, verificationService } from './verification-service.ts';

/** What the service does, wired to its dependencies in `compose.ts`. */
export interface AuthOperations extends VerificationOperations {
  login(input: LoginInput, call: OperationCall): Promise<IssuedTokens>;
  refreshToken(input: { refreshToken: string }, call: OperationCall): Promise<IssuedTokens>;
  revokeToken(input: { token: string; allSessions: boolean }, call: OperationCall): Promise<void>;
  getJwks(): { json: string; maxAgeSeconds: number };
}

/** postern.v1.AuthService: wire to operation and back. */
export function authService(operations: AuthOperations): ServiceHandlers<typeof AuthServiceService> {
  return {
    login: async (request, call) => tokenSet(await operations.login(loginInput(request), call)),
    ...verificationService(operations),
    refreshToken: async (request, call) => tokenSet(await operations.refreshToken(request, call)),
    revokeToken: async (request, call) => {
      await operations.revokeToken(request, call);
      return {};
    },
    getJwks: () => {
      const { json, maxAgeSeconds } = operations.getJwks();
      return { jwks: json, maxAge: maxAgeSeconds };
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
