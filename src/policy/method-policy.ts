import {
  type AuthenticationRequirement,
  authenticationFault,
  NO_AUTHENTICATION_REQUIREMENT,
} from '../domain/claims/authentication.ts';
import type { VerifiedClaims } from '../domain/claims/claims.ts';

/** What the policy requires of the callers of a method: a valid token, and all that is named here. */
export interface RequiredToken extends AuthenticationRequirement {
  /** An audience that the token must name; null allows any accepted one. */
  readonly audience: string | null;
  /** Roles that the subject must have, all of them. */
  readonly roles: readonly string[];
  /** Names of services, one of which must act for the subject. Empty: nobody needs to, and everybody may. */
  readonly actors: readonly string[];
}

/** Who may call a method: anyone, the token being ignored, or whoever has such a token. */
export type MethodRule = 'public' | RequiredToken;

/** A policy file that was read. */
export interface MethodPolicy {
  /** By full method name, `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, MethodRule>;
  /** The rule of all other methods; null refuses them. */
  readonly otherwise: MethodRule | null;
  /** The methods as a lenient server could read them. */
  readonly foldedMethods: ReadonlySet<string>;
}

export function methodPolicy(
  methods: ReadonlyMap<string, MethodRule>,
  otherwise: MethodRule | null,
): MethodPolicy {
  return { methods, otherwise, foldedMethods: new Set([...methods.keys()].map(foldedPath)) };
}

/** Why the policy refuses a call, although its token is valid. */
export interface PolicyRefusal {
  readonly reason:
    'METHOD_NOT_LISTED' | 'TOKEN_CLAIMS_INVALID' | 'STEP_UP_REQUIRED' | 'ROLE_MISSING' | 'ACTOR_NOT_ALLOWED';
  /** Fixed words and names of the policy, fit to be shown to the caller. */
  readonly detail: string;
}

export const METHOD_NOT_LISTED: PolicyRefusal = {
  reason: 'METHOD_NOT_LISTED',
  detail: 'the policy of this service does not list the method',
};

/** The rule of a method by its exact name; null when the policy refuses the method. */
export function ruleOf(policy: MethodPolicy, method: string): MethodRule | null {
  return policy.methods.get(method) ?? policy.otherwise;
}

/** What a rule requires of the authentication of the user. A rule that refuses the method, or lets anyone in, requires nothing. */
export function requiredAuthentication(rule: MethodRule | null): AuthenticationRequirement {
  return rule === null || rule === 'public' ? NO_AUTHENTICATION_REQUIREMENT : rule;
}

/**
 * What a valid token lacks for a rule; null when it meets the rule.
 *
 * @param nowSeconds Unix time, fractions allowed
 */
export function unmetBy(rule: MethodRule, claims: VerifiedClaims, nowSeconds: number): PolicyRefusal | null {
  if (rule === 'public') return null;
  const { roles, actors } = rule;
  const withoutAudience = audienceUnmetBy(rule, claims);
  if (withoutAudience !== null) return withoutAudience;
  // Before the roles: those that need a second factor are not in the token of a lower level, and step-up brings them.
  const fault = authenticationFault(claims, rule, nowSeconds);
  if (fault !== null) return { reason: 'STEP_UP_REQUIRED', detail: fault };
  const missing = roles.find((role) => !claims.roles.includes(role));
  if (missing !== undefined)
    return { reason: 'ROLE_MISSING', detail: `the subject lacks the role '${missing}'` };
  // Only the service that made this call counts (RFC 8693 section 4.1): those before it are history.
  const name = claims.actor?.name ?? null;
  if (actors.length > 0 && (name === null || !actors.includes(name)))
    return {
      reason: 'ACTOR_NOT_ALLOWED',
      detail: 'the token names no service that the policy lets act here',
    };
  return null;
}

/**
 * Whether a token lacks the audience of a rule. It counts before the level, also before that of another rule: nobody is asked to
 * step up for a token that is refused in any case.
 */
export function audienceUnmetBy(rule: MethodRule, claims: VerifiedClaims): PolicyRefusal | null {
  if (rule === 'public' || rule.audience === null || claims.audience.includes(rule.audience)) return null;
  return { reason: 'TOKEN_CLAIMS_INVALID', detail: 'aud does not have the required audience' };
}

/** A path that no server or proxy reads as another one: no escapes, empty or dot segments, or parameters. */
const PLAIN_PATH = /^(?:\/[\w~!$&'()*+,=:@.-]+)+\/?$|^\/$/;
const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/;

/**
 * The rule for the path of an HTTP request, for a proxy in front of servers that may read paths more loosely than gRPC
 * does. The query does not count. `otherwise` never applies to a path that such a server could take for a listed method:
 * escaped characters, doubled or final slashes, dot segments, another case.
 */
export function ruleOfPath(policy: MethodPolicy, path: string): MethodRule | null {
  const [name = ''] = path.split(/[?#]/, 1);
  const listed = policy.methods.get(name);
  if (listed !== undefined || policy.otherwise === null) return listed ?? null;
  const isPlain = PLAIN_PATH.test(name) && !DOT_SEGMENT.test(name);
  return isPlain && !policy.foldedMethods.has(foldedPath(name)) ? policy.otherwise : null;
}

function foldedPath(path: string): string {
  return path.toLowerCase().replace(/\/$/, '');
}
