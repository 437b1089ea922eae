import { strictestRequirement } from '../../domain/claims/authentication.ts';
import type { VerifiedClaims } from '../../domain/claims/claims.ts';
import { withTimeout } from '../../domain/concurrency/timeout.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import {
  AuthorizationService,
  type CheckRequest,
  type CheckResponse,
} from '../../generated/envoy/service/auth/v3/external_auth.ts';
import { looksLikeApiKey } from '../../domain/claims/api-key.ts';
import { requireAuthentication, type VerifyInput } from '../../features/authentication/verify-token.ts';
import { clientOf } from './checked-client.ts';
import {
  audienceUnmetBy,
  requiredAuthentication,
  METHOD_NOT_LISTED,
  type MethodPolicy,
  type MethodRule,
  type PolicyRefusal,
  ruleOfPath,
  unmetBy,
} from '../../policy/method-policy.ts';
import { bearerToken } from '../../rpc/bearer-token.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import { EncodedReplyCache } from '../../rpc/encoded-reply-cache.ts';
import type { ServiceHandlers } from '../../rpc/handlers.ts';
import { allowedResponse } from './allowed-response.ts';
import { Denied, denialOf } from './denial.ts';
import { deniedResponse } from './denied-response.ts';
import { headerText } from './header-encoding.ts';
import { requestHeaders } from './request-headers.ts';
import { hasRequirements, type RoutePolicy, routePolicy } from './route-policy.ts';

/** Verifies the tokens of checked requests. */
export interface Authorizer {
  /** The audiences at the moment; null while a sidecar does not know them yet. */
  readonly audiences: readonly string[] | null;
  /** The policy file; null without one, so that routes alone are checked. */
  readonly policy: { readonly policy: MethodPolicy } | null;
  /** The operation of VerifyToken. Throws `Rejected` `trust-stale` well before `MAX_CHECK_MS`. */
  verifyToken(input: VerifyInput): VerifiedClaims | Promise<VerifiedClaims>;
  /** For POSTERN_TRUSTED_PROXIES. */
  readonly isTrustedProxy: (address: string) => boolean;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

/** Below Envoy's default timeout of 200 ms, after which Envoy has no reason to send to the client (E04). */
const MAX_CHECK_MS = 150;
/** How long a check waits for the first keys and revocations after the process has started. */
export const CHECK_INITIAL_LOAD_WAIT_MS = 100;

/**
 * envoy.service.auth.v3.Authorization. The gRPC status is OK for denials as well: Envoy's filter treats any other
 * status as a failure of the service, and with `failure_mode_allow` it then allows the request.
 */
export function authorizationService(authorizer: Authorizer): ServiceHandlers<typeof AuthorizationService> {
  const replies = {
    tokenKept: new EncodedReplyCache<VerifiedClaims>(),
    tokenStripped: new EncodedReplyCache<VerifiedClaims>(),
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

/** The generated service with a decoder that turns an undecodable message into an empty one, which is denied. */
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

/** Encoded responses for requests without `x-postern-` headers: those responses depend only on the claims. */
interface Replies {
  readonly tokenKept: EncodedReplyCache<VerifiedClaims>;
  readonly tokenStripped: EncodedReplyCache<VerifiedClaims>;
}

function check(request: CheckRequest, authorizer: Authorizer, replies: Replies): Answer | Promise<Answer> {
  const { attributes } = request;
  if (!attributes?.request?.http) throw new Denied({ kind: 'request-unreadable' });
  const policy = routePolicy(attributes.contextExtensions, authorizer.audiences);
  const { stripToken } = policy;
  const { authorization, reserved } = requestHeaders(attributes.request.http);
  const rule = policyRule(authorizer, attributes.request.http.path);
  if (rule === 'public' && !hasRequirements(attributes.contextExtensions))
    return allowedResponse(null, reserved, stripToken);
  // In optional mode an absent token is allowed; an invalid token is still denied, so that its sender learns of the
  // error.
  if (policy.optional && (rule === null || rule === 'public') && authorization.length === 0)
    return allowedResponse(null, reserved, stripToken);

  const requirement = strictestRequirement(policy, requiredAuthentication(rule));
  const allow = (claims: VerifiedClaims) => {
    const withoutAudience = rule === null ? null : audienceUnmetBy(rule, claims);
    if (withoutAudience !== null) throw policyUnmet(withoutAudience, rule);
    requireAuthentication(claims, requirement, authorizer.nowMs());
    requireRoles(claims, policy);
    requireActor(claims, policy);
    if (rule !== null) requireRule(claims, rule, authorizer.nowMs());
    if (reserved.length > 0) return allowedResponse(claims, reserved, stripToken);
    return (stripToken ? replies.tokenStripped : replies.tokenKept).of(claims, () =>
      AuthorizationService.check.responseSerialize(allowedResponse(claims, reserved, stripToken)),
    );
  };
  const token = bearerToken(authorization);
  const address = looksLikeApiKey(token) ? clientOf(attributes, authorizer.isTrustedProxy) : null;
  const claims = authorizer.verifyToken({ token, audience: policy.audience, address });
  return claims instanceof Promise ? claims.then(allow) : allow(claims);
}

/**
 * The rule of the policy file for a request. Where the route requires something as well, both must allow the request.
 *
 * @returns null without a policy file
 * @throws Denied `policy-unmet` when the file does not list the method
 */
function policyRule({ policy }: Authorizer, path: string): MethodRule | null {
  if (policy === null) return null;
  const rule = ruleOfPath(policy.policy, path);
  if (rule === null) throw policyUnmet(METHOD_NOT_LISTED, rule);
  return rule;
}

function requireRule(claims: VerifiedClaims, rule: MethodRule, nowMs: number): void {
  const refusal = unmetBy(rule, claims, nowMs / 1000);
  if (refusal !== null) throw policyUnmet(refusal, rule);
}

function policyUnmet(refusal: PolicyRefusal, rule: MethodRule | null): Denied {
  const roles = rule === null || rule === 'public' ? [] : rule.roles.map(headerText);
  return new Denied({ kind: 'policy-unmet', refusal, roles, requirement: requiredAuthentication(rule) });
}

function requireRoles(claims: VerifiedClaims, { rolesAny, rolesAll }: RoutePolicy): void {
  if (rolesAny.length + rolesAll.length === 0) return;
  const roles = new Set(claims.roles.map(headerText));
  const hasAny = rolesAny.length === 0 || rolesAny.some((role) => roles.has(role));
  if (hasAny && rolesAll.every((role) => roles.has(role))) return;
  throw new Denied({ kind: 'role-missing', required: [...rolesAll, ...rolesAny] });
}

function requireActor({ actor }: VerifiedClaims, { actorsAny }: RoutePolicy): void {
  if (actorsAny.length === 0) return;
  const name = actor?.name ?? null;
  if (name === null || !actorsAny.includes(headerText(name))) throw new Denied({ kind: 'actor-not-allowed' });
}

function withDeadline(response: Promise<Answer>): Promise<Answer> {
  return withTimeout(response, MAX_CHECK_MS, () => {
    const cause = `the check was not complete within ${MAX_CHECK_MS} ms`;
    throw new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
  });
}
