import type { VerifiedClaims } from '../../domain/claims.ts';
import { withTimeout } from '../../domain/timeout.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import {
  AuthorizationService,
  type CheckRequest,
  type CheckResponse,
} from '../../generated/envoy/service/auth/v3/external_auth.ts';
import { bearerToken } from '../../rpc/bearer-token.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import { EncodedReplyCache } from '../../rpc/encoded-reply-cache.ts';
import type { ServiceHandlers } from '../../rpc/handlers.ts';
import { allowedResponse } from './allowed-response.ts';
import { Denied, denialOf } from './denial.ts';
import { deniedResponse } from './denied-response.ts';
import { headerText } from './header-encoding.ts';
import { requestHeaders } from './request-headers.ts';
import { type RoutePolicy, routePolicy } from './route-policy.ts';

/** What a check needs of the service. */
export interface Authorizer {
  /** The configured audiences, which a route may name; null while they are not known yet. */
  readonly audiences: readonly string[] | null;
  /** As VerifyToken; rejects with `trust-stale` well before `MAX_CHECK_MS`. */
  verifyToken(input: { token: string; audience: string }): VerifiedClaims | Promise<VerifiedClaims>;
}

/** Envoy waits 200 ms unless told otherwise, and then has no reason to tell the client (E04). */
const MAX_CHECK_MS = 150;
/** How long a check waits for the first keys and revocations of a process that has just started. */
export const CHECK_INITIAL_LOAD_WAIT_MS = 100;

/**
 * envoy.service.auth.v3.Authorization. Every answer is an OK of gRPC, for a denial, too: the filter takes any other
 * status for a failure of the service, which `failure_mode_allow` turns into a pass.
 */
export function authorizationService(authorizer: Authorizer): ServiceHandlers<typeof AuthorizationService> {
  const replies = {
    whole: new EncodedReplyCache<VerifiedClaims>(),
    stripped: new EncodedReplyCache<VerifiedClaims>(),
  };
  return {
    check(request, call) {
      const denied = (error: unknown): CheckResponse => {
        const denial = denialOf(error);
        call.noteRefusal(denial.reason, error, denial.isFault);
        return deniedResponse(denial);
      };
      try {
        const response = check(request, authorizer, replies);
        return response instanceof Promise ? withDeadline(response).catch(denied) : response;
      } catch (error) {
        return denied(error);
      }
    },
  };
}

/** The generated service, but a message that cannot be decoded becomes an empty one, which is denied. */
export const failClosedAuthorization: typeof AuthorizationService = {
  ...AuthorizationService,
  check: {
    ...AuthorizationService.check,
    requestDeserialize(bytes) {
      try {
        return AuthorizationService.check.requestDeserialize(bytes);
      } catch {
        return { attributes: undefined };
      }
    },
  },
};

type Answer = CheckResponse | EncodedMessage;

/** For a request that tries to set none of our headers, the answer depends on the token alone. */
interface Replies {
  readonly whole: EncodedReplyCache<VerifiedClaims>;
  readonly stripped: EncodedReplyCache<VerifiedClaims>;
}

function check(request: CheckRequest, authorizer: Authorizer, replies: Replies): Answer | Promise<Answer> {
  const { attributes } = request;
  if (!attributes?.request?.http) throw new Denied({ kind: 'request-unreadable' });
  const policy = routePolicy(attributes.contextExtensions, authorizer.audiences);
  const { stripToken } = policy;
  const { authorization, reserved } = requestHeaders(attributes.request.http);
  // Only absence is optional: a bad token is an error that its sender wants to hear of.
  if (policy.optional && authorization.length === 0) return allowedResponse(null, reserved, stripToken);

  const allow = (claims: VerifiedClaims) => {
    requireRoles(claims, policy);
    if (reserved.length > 0) return allowedResponse(claims, reserved, stripToken);
    return replies[stripToken ? 'stripped' : 'whole'].of(claims, () =>
      AuthorizationService.check.responseSerialize(allowedResponse(claims, reserved, stripToken)),
    );
  };
  const claims = authorizer.verifyToken({ token: bearerToken(authorization), audience: policy.audience });
  return claims instanceof Promise ? claims.then(allow) : allow(claims);
}

function requireRoles(claims: VerifiedClaims, { rolesAny, rolesAll }: RoutePolicy): void {
  if (rolesAny.length + rolesAll.length === 0) return;
  const roles = new Set(claims.roles.map(headerText));
  const hasAny = rolesAny.length === 0 || rolesAny.some((role) => roles.has(role));
  if (hasAny && rolesAll.every((role) => roles.has(role))) return;
  throw new Denied({ kind: 'role-missing', required: [...rolesAll, ...rolesAny] });
}

function withDeadline(response: Promise<Answer>): Promise<Answer> {
  return withTimeout(response, MAX_CHECK_MS, () => {
    const cause = `no verdict within ${MAX_CHECK_MS} ms`;
    throw new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
  });
}
