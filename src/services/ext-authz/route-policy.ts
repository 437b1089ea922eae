import {
  type AuthenticationLevel,
  authenticationLevels,
  type AuthenticationRequirement,
  MAX_AUTH_AGE_SECONDS,
  parseMaxAuthAge,
} from '../../domain/claims/authentication.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { Denied } from './denial.ts';

/** What a route requires of its callers, from the `context_extensions` of its ext_authz configuration. */
export interface RoutePolicy extends AuthenticationRequirement {
  /** The audience that the token must have. Empty allows any configured audience. */
  readonly audience: string;
  /**
   * The token must have at least one of these roles. No rule when empty. Encoded as in `x-postern-roles`
   * (`headerText`).
   */
  readonly rolesAny: readonly string[];
  /** The token must have all of these roles. Encoded as `rolesAny`. */
  readonly rolesAll: readonly string[];
  /** The last actor of the token must have one of these names. No rule when empty. */
  readonly actorsAny: readonly string[];
  /** Whether a request without a token is allowed, without identity headers. */
  readonly optional: boolean;
  /** Whether the authorization header is removed before the request goes upstream. */
  readonly stripToken: boolean;
}

type Extensions = Readonly<Record<string, string>>;

const KEYS: ReadonlySet<string> = new Set([
  'audience',
  'roles_any',
  'roles_all',
  'actors_any',
  'min_acr',
  'max_auth_age',
  'mode',
  'strip_token',
]);
const NAME = /^(?:[!#$&-+\--[\]-~]|%[0-9A-F]{2})+$/;

/**
 * Reads `audience`, `roles_any`, `roles_all`, `actors_any` (comma lists), `min_acr` (`aal1` or `aal2`), `max_auth_age` (seconds),
 * `mode` (`required` or `optional`) and `strip_token` (`true` or `false`). An unknown key is refused: a misspelt `roles_all` would
 * otherwise open the route to everybody.
 *
 * @param audiences the audiences at the moment; null while they are not known yet
 * @throws Denied `route-misconfigured`
 * @throws Rejected `trust-stale` for a route with an audience while `audiences` is null
 */
export function routePolicy(extensions: Extensions, audiences: readonly string[] | null): RoutePolicy {
  for (const key of Object.keys(extensions)) {
    if (!KEYS.has(key)) throw misconfigured(`has an unknown key; the keys are ${[...KEYS].join(', ')}`);
  }
  const optional = choice(extensions, 'mode', ['required', 'optional']) === 'optional';
  const policy = {
    audience: configuredAudience(extensions, audiences),
    rolesAny: nameList(extensions, 'roles_any', 'roles as in x-postern-roles'),
    rolesAll: nameList(extensions, 'roles_all', 'roles as in x-postern-roles'),
    actorsAny: nameList(extensions, 'actors_any', 'names of service accounts'),
    minAcr: level(extensions),
    maxAuthAgeSeconds: maxAuthAge(extensions),
    optional,
    stripToken: choice(extensions, 'strip_token', ['false', 'true']) === 'true',
  };
  const { rolesAny, rolesAll, actorsAny, minAcr, maxAuthAgeSeconds } = policy;
  const requiresClaims = rolesAny.length + rolesAll.length + actorsAny.length > 0;
  if (optional && (requiresClaims || minAcr !== null || maxAuthAgeSeconds !== null)) {
    throw misconfigured(
      'requires roles, actors or a level although the token is optional; remove them, or set mode to required',
    );
  }
  return policy;
}

/** Whether the route says who may pass, so that it is checked beside a policy file. */
export function hasRequirements(extensions: Extensions): boolean {
  return Object.keys(extensions).some((key) => key !== 'strip_token');
}

function configuredAudience(extensions: Extensions, audiences: readonly string[] | null): string {
  const audience = ownValue(extensions, 'audience');
  if (audience === undefined) return '';
  if (audiences === null) throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
  if (audiences.includes(audience)) return audience;
  throw misconfigured(
    'has an audience that does not exist; it is neither in POSTERN_AUDIENCE nor was it added',
  );
}

function level(extensions: Extensions): AuthenticationLevel | null {
  const value = ownValue(extensions, 'min_acr');
  if (value === undefined) return null;
  const known = authenticationLevels.find((name) => name === value);
  if (known !== undefined) return known;
  throw misconfigured(`has a min_acr other than ${authenticationLevels.join(' or ')}`);
}

function maxAuthAge(extensions: Extensions): number | null {
  const value = ownValue(extensions, 'max_auth_age');
  if (value === undefined) return null;
  const seconds = parseMaxAuthAge(value);
  if (seconds !== null) return seconds;
  throw misconfigured(
    `has a max_auth_age that is not a number of seconds; write a whole number, 1 to ${MAX_AUTH_AGE_SECONDS}`,
  );
}

function nameList(extensions: Extensions, key: string, content: string): readonly string[] {
  const names = ownValue(extensions, key)?.split(',') ?? [];
  const trimmed = names.map((name) => name.trim());
  if (trimmed.every((name) => NAME.test(name))) return trimmed;
  throw misconfigured(`has a ${key} that is not a comma-separated list of ${content}`);
}

/**
 * @returns the value; the first of `allowed` when the key is absent.
 * @throws Denied for a value that is not in `allowed`
 */
function choice(extensions: Extensions, key: string, allowed: readonly string[]): string | undefined {
  const value = ownValue(extensions, key) ?? allowed[0];
  if (value !== undefined && allowed.includes(value)) return value;
  throw misconfigured(`has a ${key} other than ${allowed.join(' or ')}`);
}

/** Reads no inherited property, such as `constructor`. */
function ownValue(extensions: Extensions, key: string): string | undefined {
  return Object.hasOwn(extensions, key) ? extensions[key] : undefined;
}

function misconfigured(detail: string): Denied {
  return new Denied({ kind: 'route-misconfigured', detail: `context_extensions ${detail}` });
}
