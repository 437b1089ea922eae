import { percentEncoded } from '../domain/percent-encoding.ts';
import { identityHeaders } from './identity-headers.ts';
import type { MethodPolicy, MethodRule } from './method-policy.ts';

const IDENTITY_HEADERS = Object.values(identityHeaders);
const EXT_AUTHZ = 'envoy.filters.http.ext_authz';
const PER_ROUTE = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute';

/** The context extensions that a route of Check reads. @see services/ext-authz/route-policy.ts */
export function contextExtensionsOf(rule: Exclude<MethodRule, 'public'>): Record<string, string> {
  const { audience, roles, actors, minAcr, maxAuthAgeSeconds } = rule;
  return {
    ...(audience !== null && { audience }),
    ...(roles.length > 0 && { roles_all: roles.map(percentEncoded).join(',') }),
    ...(actors.length > 0 && { actors_any: actors.map(percentEncoded).join(',') }),
    ...(minAcr !== null && { min_acr: minAcr }),
    ...(maxAuthAgeSeconds !== null && { max_auth_age: String(maxAuthAgeSeconds) }),
  };
}

/** Routes of Envoy that have Check apply the policy, to a cluster of the given name. */
export function envoyRoutes(policy: MethodPolicy, cluster: string): unknown[] {
  const routes = [...policy.methods].map(([path, rule]) => routeOf({ path }, rule, cluster));
  const otherwise =
    policy.otherwise === null
      ? { match: { prefix: '/' }, direct_response: { status: 403 } }
      : routeOf({ prefix: '/' }, policy.otherwise, cluster);
  return [...routes, otherwise];
}

function routeOf(match: object, rule: MethodRule, cluster: string): unknown {
  const check =
    rule === 'public'
      ? { disabled: true }
      : { check_settings: { context_extensions: contextExtensionsOf(rule) } };
  return {
    match,
    route: { cluster },
    ...(rule === 'public' && { request_headers_to_remove: IDENTITY_HEADERS }),
    typed_per_filter_config: { [EXT_AUTHZ]: { '@type': PER_ROUTE, ...check } },
  };
}

/** What the objects of Envoy Gateway refer to. */
export interface GatewayNames {
  /** The prefix of the names of the objects. */
  readonly name: string;
  readonly gateway: string;
  readonly backend: string;
  readonly backendPort: number;
  /** The Kubernetes service that answers Check. */
  readonly checkService: string;
  readonly checkPort: number;
}

/** A rule of a GRPCRoute has as many matches, and a route as many rules (Gateway API v1). */
const MAX_MATCHES = 8;
const MAX_RULES = 16;

/**
 * For each different rule a GRPCRoute with its methods and, unless it is public, a SecurityPolicy. Envoy Gateway answers
 * a method that no route has with UNIMPLEMENTED, so `otherwise` needs one only where it is written.
 */
export function gatewayObjects(policy: MethodPolicy, names: GatewayNames): unknown[] {
  const groups = new Map<string, { rule: MethodRule; matches: object[] }>();
  for (const [path, rule] of policy.methods) {
    const key = JSON.stringify(rule);
    const group = groups.get(key) ?? { rule, matches: [] };
    const [, service, method] = path.split('/');
    group.matches.push({ method: { type: 'Exact', service, method } });
    groups.set(key, group);
  }
  if (policy.otherwise !== null) groups.set('otherwise', { rule: policy.otherwise, matches: [] });
  const parts = [...groups.values()].flatMap(({ rule, matches }) =>
    inParts(matches, MAX_MATCHES * MAX_RULES).map((part) => ({ rule, matches: part })),
  );
  return parts.flatMap(({ rule, matches }, index) =>
    gatewayPart(`${names.name}-${index + 1}`, rule, matches, names),
  );
}

function gatewayPart(name: string, rule: MethodRule, matches: object[], names: GatewayNames): unknown[] {
  const filters = [{ type: 'RequestHeaderModifier', requestHeaderModifier: { remove: IDENTITY_HEADERS } }];
  const backendRefs = [{ name: names.backend, port: names.backendPort }];
  const route = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { name },
    spec: {
      parentRefs: [{ name: names.gateway }],
      rules: inParts(matches, MAX_MATCHES).map((part) => ({
        ...(part.length > 0 && { matches: part }),
        ...(rule === 'public' && { filters }),
        backendRefs,
      })),
    },
  };
  if (rule === 'public') return [route];
  const extensions = Object.entries(contextExtensionsOf(rule));
  const security = {
    apiVersion: 'gateway.envoyproxy.io/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name },
    spec: {
      targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'GRPCRoute', name }],
      extAuth: {
        failOpen: false,
        grpc: { backendRefs: [{ name: names.checkService, port: names.checkPort }] },
        ...(extensions.length > 0 && {
          contextExtensions: extensions.map(([key, value]) => ({ name: key, type: 'Value', value })),
        }),
      },
    },
  };
  return [route, security];
}

/** The items in lists of at most `size`; one empty list for none. */
function inParts<Item>(items: readonly Item[], size: number): Item[][] {
  const count = Math.max(1, Math.ceil(items.length / size));
  return Array.from({ length: count }, (_, index) => items.slice(index * size, (index + 1) * size));
}
