import type { VerifiedClaims } from '../domain/claims.ts';
import {
  type AuthServiceService,
  type LoginRequest,
  SubjectType,
  type TokenSet,
  type VerifiedToken,
} from '../generated/postern/v1/auth.ts';
import type { OperationCall } from '../domain/call-origin.ts';
import type { IssuedTokens } from '../operations/issued-tokens.ts';
import type { LoginInput } from '../operations/login.ts';
import { bearerToken } from './bearer.ts';
import type { ServiceHandlers } from './serve-methods.ts';

/** What the service does, wired to its dependencies in `compose.ts`. */
export interface AuthOperations {
  login(input: LoginInput, call: OperationCall): Promise<IssuedTokens>;
  verifyToken(input: { token: string; audience: string }): VerifiedClaims | Promise<VerifiedClaims>;
  refreshToken(input: { refreshToken: string }, call: OperationCall): Promise<IssuedTokens>;
  revokeToken(input: { token: string; allSessions: boolean }, call: OperationCall): Promise<void>;
  getJwks(): { json: string; maxAgeSeconds: number };
}

/** postern.v1.AuthService: wire to operation and back. */
export function authService(operations: AuthOperations): ServiceHandlers<typeof AuthServiceService> {
  return {
    login: async (request, call) => tokenSet(await operations.login(loginInput(request), call)),
    verifyToken: (request, call) => {
      const token = request.accessToken === '' ? bearerToken(call.authorization) : request.accessToken;
      const claims = operations.verifyToken({ token, audience: request.audience });
      return claims instanceof Promise ? claims.then(verifiedToken) : verifiedToken(claims);
    },
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

function verifiedToken(claims: VerifiedClaims): VerifiedToken {
  return {
    subject: claims.subject,
    sessionId: claims.sessionId ?? '',
    tokenId: claims.tokenId ?? '',
    issuer: claims.issuer ?? '',
    audience: [...claims.audience],
    roles: [...claims.roles],
    issuedAt: claims.issuedAtSeconds === null ? undefined : new Date(claims.issuedAtSeconds * 1000),
    expiresAt: new Date(claims.expiresAtSeconds * 1000),
    subjectType: claims.subjectType === 'user' ? SubjectType.USER : SubjectType.SERVICE,
  };
}
