/**
 * Reads what a route requires, as the release before does (0.1.0, commit 6f5e2e3: `src/grpc/ext-authz/route-policy.ts`, transpiled by
 * esbuild 0.28 with `--format=esm --target=es2022`, without the classes of its errors). Sidecars of that release run beside a
 * service of this one during an upgrade.
 */
class Denied extends Error {
  constructor({ kind, detail }) {
    super(`${kind}: ${detail}`);
  }
}
class Rejected extends Denied {}
const KEYS = /* @__PURE__ */ new Set(['audience', 'roles_any', 'roles_all', 'mode', 'strip_token']);
const RETRY_AFTER_MS = 1e3;
const ROLE = /^(?:[!#$&-+\--[\]-~]|%[0-9A-F]{2})+$/;
function routePolicy(extensions, audiences) {
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
function configuredAudience(extensions, audiences) {
  const audience = own(extensions, 'audience');
  if (audience === void 0) return '';
  if (audiences === null) throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
  if (audiences.includes(audience)) return audience;
  throw misconfigured('names an audience that POSTERN_AUDIENCE does not');
}
function roleList(extensions, key) {
  const roles = own(extensions, key)?.split(',') ?? [];
  const trimmed = roles.map((role) => role.trim());
  if (trimmed.every((role) => ROLE.test(role))) return trimmed;
  throw misconfigured(`has a ${key} that is not a comma list of roles as x-postern-roles shows them`);
}
function choice(extensions, key, allowed) {
  const value = own(extensions, key) ?? allowed[0];
  if (value !== void 0 && allowed.includes(value)) return value;
  throw misconfigured(`has a ${key} other than ${allowed.join(' and ')}`);
}
function own(extensions, key) {
  return Object.hasOwn(extensions, key) ? extensions[key] : void 0;
}
function misconfigured(detail) {
  return new Denied({ kind: 'route-misconfigured', detail: `context_extensions ${detail}` });
}
export { routePolicy };
