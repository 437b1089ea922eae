import {
  AuthServiceService,
  type ExchangeTokenRequest,
  type IssueServiceTokenRequest,
  type LoginRequest,
  type RefreshTokenRequest,
  type RevokeTokenRequest,
  type RevokeTokenResponse,
  type TokenSet,
  VerifiedToken,
  type VerifyTokenRequest,
} from '../../generated/postern/v1/auth.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import type { ServiceCredentials } from '../../features/service-accounts/check-service-proof.ts';
import { EncodedMessage } from '../../rpc/encoded-message.ts';
import type { ServiceHandlers } from '../../rpc/handlers.ts';
import type { MethodGuard } from '../../rpc/method-guard.ts';
import { guardedCall, plainCall } from '../guarded-call.ts';
import type { HttpCall } from '../http-call.ts';

/**
 * The methods of AuthService that the endpoints call, with the rules of the method table: guard, audit and refusal delay are
 * those of the same calls over gRPC. Each sets the path of the call, under which it is counted.
 */
export interface AuthCalls {
  readonly paths: Readonly<
    Record<'issueServiceToken' | 'exchangeToken' | 'verifyToken' | 'revokeToken' | 'login', string>
  >;
  issueServiceToken(request: IssueServiceTokenRequest, call: HttpCall): Promise<TokenSet>;
  exchangeToken(request: ExchangeTokenRequest, call: HttpCall): Promise<TokenSet>;
  refreshToken(request: RefreshTokenRequest, call: HttpCall): Promise<TokenSet>;
  revokeToken(request: RevokeTokenRequest, call: HttpCall): Promise<RevokeTokenResponse>;
  login(request: LoginRequest, call: HttpCall): Promise<TokenSet>;
  verifyToken(request: VerifyTokenRequest, call: HttpCall): Promise<VerifiedToken>;
  /** Authenticates a service account without issuing a token. A refusal is audited as one of IssueServiceToken. */
  authenticateService(credentials: ServiceCredentials, call: HttpCall): Promise<unknown>;
  /** Authenticates a service account by its access token. */
  authenticateBearer(call: HttpCall): Promise<unknown>;
}

/** @param authenticate the operation `authenticateService` */
export function authCalls(
  handlers: ServiceHandlers<typeof AuthServiceService>,
  guard: MethodGuard,
  authenticate: (credentials: ServiceCredentials, call: OperationCall) => Promise<unknown>,
): AuthCalls {
  const { issueServiceToken, exchangeToken, refreshToken, revokeToken, login, verifyToken } =
    AuthServiceService;
  const verify = guardedCall(verifyToken.path, guard, handlers.verifyToken);
  return {
    paths: {
      issueServiceToken: issueServiceToken.path,
      exchangeToken: exchangeToken.path,
      verifyToken: verifyToken.path,
      revokeToken: revokeToken.path,
      login: login.path,
    },
    issueServiceToken: plainCall(issueServiceToken.path, guard, handlers.issueServiceToken),
    exchangeToken: plainCall(exchangeToken.path, guard, handlers.exchangeToken),
    refreshToken: plainCall(refreshToken.path, guard, handlers.refreshToken),
    revokeToken: plainCall(revokeToken.path, guard, handlers.revokeToken),
    login: plainCall(login.path, guard, handlers.login),
    async verifyToken(request, call) {
      const response = await verify(request, call);
      return response instanceof EncodedMessage ? VerifiedToken.decode(response.bytes) : response;
    },
    authenticateService: guardedCall(issueServiceToken.path, guard, authenticate),
    async authenticateBearer(call) {
      call.caller = await guard.authenticate('service', call);
    },
  };
}
