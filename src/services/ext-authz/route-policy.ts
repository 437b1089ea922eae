import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { Denied } from './denial.ts';

/** What a route requires of its callers, from the `context_extensions` of its ext_authz configuration. */
export interface RoutePolicy {
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
  'mode',
  'strip_token',
]);
const NAME = /^(?:[!#$&-+\--[\]-~]|%[0-9A-F]{2})+$/;

/**
 * Reads `audience`, `roles_any`, `roles_all`, `actors_any` (comma lists), `mode` (`required` or `optional`) and `strip_token` (`true`
 * or `false`). An unknown key is refused: a misspelt `roles_all` would otherwise open the route to everybody.
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
    optional,
    stripToken: choice(extensions, 'strip_token', ['false', 'true']) === 'true',
  };
  if (optional && policy.rolesAny.length + policy.rolesAll.length + policy.actorsAny.length > 0) {
    throw misconfigured(
      'requires roles or actors although the token is optional; remove them, or set mode to required',
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
