import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { Denied } from './denial.ts';

/** What a route asks of its callers, from the `context_extensions` of its ext_authz configuration. */
export interface RoutePolicy {
  /** The audience that the token must name; empty for any configured one. */
  readonly audience: string;
  /** At least one of these, unless there are none. Written as `x-postern-roles` shows them (`headerText`). */
  readonly rolesAny: readonly string[];
  /** Every one of these. */
  readonly rolesAll: readonly string[];
  /** A request without any token passes, without an identity. */
  readonly optional: boolean;
  /** The authorization header does not go upstream. */
  readonly stripToken: boolean;
}

type Extensions = Readonly<Record<string, string>>;

const KEYS: ReadonlySet<string> = new Set(['audience', 'roles_any', 'roles_all', 'mode', 'strip_token']);
const ROLE = /^(?:[!#$&-+\--[\]-~]|%[0-9A-F]{2})+$/;

/**
 * Reads `audience`, `roles_any`, `roles_all` (comma lists), `mode` (`required` or `optional`) and `strip_token` (`true`
 * or `false`). An unknown key is refused: a misspelt `roles_all` would otherwise open the route to everybody.
 *
 * @param audiences the configured ones; null while they are not known yet
 * @throws Denied `route-misconfigured`
 * @throws Rejected `trust-stale` for a route that names an audience while they are not known
 */
export function routePolicy(extensions: Extensions, audiences: readonly string[] | null): RoutePolicy {
  for (const key of Object.keys(extensions)) {
    if (!KEYS.has(key)) throw misconfigured(`knows ${[...KEYS].join(', ')} and no other key`);
  }
  const optional = choice(extensions, 'mode', ['required', 'optional']) === 'optional';
  const policy = {
    audience: configuredAudience(extensions, audiences),
    rolesAny: roleList(extensions, 'roles_any'),
    rolesAll: roleList(extensions, 'roles_all'),
    optional,
    stripToken: choice(extensions, 'strip_token', ['false', 'true']) === 'true',
  };
  if (optional && policy.rolesAny.length + policy.rolesAll.length > 0) {
    throw misconfigured(
      'requires roles of callers who may come without a token: take mode or the roles away',
    );
  }
  return policy;
}

function configuredAudience(extensions: Extensions, audiences: readonly string[] | null): string {
  const audience = own(extensions, 'audience');
  if (audience === undefined) return '';
  if (audiences === null) throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
  if (audiences.includes(audience)) return audience;
  throw misconfigured('names an audience that POSTERN_AUDIENCE does not');
}

function roleList(extensions: Extensions, key: string): readonly string[] {
  const roles = own(extensions, key)?.split(',') ?? [];
  const trimmed = roles.map((role) => role.trim());
  if (trimmed.every((role) => ROLE.test(role))) return trimmed;
  throw misconfigured(`has a ${key} that is not a comma list of roles as x-postern-roles shows them`);
}

/** @returns the value, the first of `allowed` when the key is absent */
function choice(extensions: Extensions, key: string, allowed: readonly string[]): string | undefined {
  const value = own(extensions, key) ?? allowed[0];
  if (value !== undefined && allowed.includes(value)) return value;
  throw misconfigured(`has a ${key} other than ${allowed.join(' and ')}`);
}

function own(extensions: Extensions, key: string): string | undefined {
  return Object.hasOwn(extensions, key) ? extensions[key] : undefined;
}

function misconfigured(detail: string): Denied {
  return new Denied({ kind: 'route-misconfigured', detail: `context_extensions ${detail}` });
}
