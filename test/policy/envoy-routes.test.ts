import { expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';

import { compareMethods } from '../../src/policy/compare-methods.ts';
import { envoyRoutes, gatewayObjects } from '../../src/policy/envoy-routes.ts';
import { readPolicy } from '../../src/policy/read-policy.ts';
import { asYaml } from '../../src/policy/yaml-text.ts';
import { routePolicy } from '../../src/services/ext-authz/route-policy.ts';

const policy = await readPolicy(
  `version: 1
audience: orders
methods:
  /shop.Orders/Hours: public
  /shop.Orders/Cancel: {roles: [admin, "a,b c%"]}
  /shop.Orders/List: {}
  /shop.Orders/Refund: {min_acr: aal2, max_auth_age: 300}
`,
  'yaml',
);
const open = await readPolicy('version: 1\notherwise: {}\nmethods: {/a.B/C: public}\n', 'yaml');

interface Route {
  readonly match: { readonly path?: string; readonly prefix?: string };
  readonly direct_response?: { readonly status: number };
  readonly request_headers_to_remove?: string[];
  readonly typed_per_filter_config?: Record<
    string,
    { disabled?: true; check_settings?: { context_extensions: Record<string, string> } }
  >;
}

test('G29 a route of Envoy for each method, and none that lets others pass', () => {
  const routes = parse(asYaml(envoyRoutes(policy, 'upstream'))) as Route[];
  expect(routes.map(({ match }) => match)).toEqual([
    { path: '/shop.Orders/Hours' },
    { path: '/shop.Orders/Cancel' },
    { path: '/shop.Orders/List' },
    { path: '/shop.Orders/Refund' },
    { prefix: '/' },
  ]);
  expect(routes[0]?.request_headers_to_remove).toEqual(
    expect.arrayContaining(['x-postern-subject', 'x-postern-acr', 'x-postern-auth-time']),
  );
  expect(routes[4]?.direct_response).toEqual({ status: 403 });
  expect(routes[4]).not.toHaveProperty('route');
  const extensions = routes.map(
    (route) =>
      route.typed_per_filter_config?.['envoy.filters.http.ext_authz']?.check_settings?.context_extensions,
  );
  // Check reads what is generated, to the letter.
  expect(routePolicy(extensions[1] ?? {}, ['orders'])).toMatchObject({
    audience: 'orders',
    rolesAll: ['admin', 'a%2Cb%20c%25'],
    optional: false,
  });
  expect(routePolicy(extensions[2] ?? {}, ['orders'])).toMatchObject({
    audience: 'orders',
    rolesAll: [],
    minAcr: null,
    maxAuthAgeSeconds: null,
  });
  expect(routePolicy(extensions[3] ?? {}, ['orders'])).toMatchObject({
    minAcr: 'aal2',
    maxAuthAgeSeconds: 300,
  });
});

test('G29 otherwise is the last route of Envoy', () => {
  const last = (envoyRoutes(open, 'upstream') as Route[]).at(-1);
  expect(last).toMatchObject({ match: { prefix: '/' }, route: { cluster: 'upstream' } });
  expect(last?.typed_per_filter_config?.['envoy.filters.http.ext_authz']).toMatchObject({
    check_settings: { context_extensions: {} },
  });
});

const names = { name: 'p', gateway: 'g', backend: 'b', backendPort: 1, checkService: 'c', checkPort: 2 };

test('G29 Envoy Gateway gets a route and a policy for each different rule', () => {
  const text = gatewayObjects(policy, names).map(asYaml).join('---\n');
  const objects = parseAllDocuments(text).map(
    (document) => document.toJS() as { kind: string; metadata: object },
  );
  expect(objects.map(({ kind, metadata }) => [kind, metadata])).toEqual([
    ['GRPCRoute', { name: 'p-1' }],
    ['GRPCRoute', { name: 'p-2' }],
    ['SecurityPolicy', { name: 'p-2' }],
    ['GRPCRoute', { name: 'p-3' }],
    ['SecurityPolicy', { name: 'p-3' }],
    ['GRPCRoute', { name: 'p-4' }],
    ['SecurityPolicy', { name: 'p-4' }],
  ]);
  expect(objects[2]).toMatchObject({
    spec: {
      targetRefs: [{ kind: 'GRPCRoute', name: 'p-2' }],
      extAuth: {
        failOpen: false,
        contextExtensions: [
          { name: 'audience', type: 'Value', value: 'orders' },
          { name: 'roles_all', type: 'Value', value: 'admin,a%2Cb%20c%25' },
        ],
      },
    },
  });
  expect(objects[6]).toMatchObject({
    spec: {
      extAuth: {
        contextExtensions: [
          { name: 'audience', type: 'Value', value: 'orders' },
          { name: 'min_acr', type: 'Value', value: 'aal2' },
          { name: 'max_auth_age', type: 'Value', value: '300' },
        ],
      },
    },
  });
  const many = Array.from({ length: 300 }, (_, index) => `  /a.B/M${index}: {}`).join('\n');
  return readPolicy(`version: 1\nmethods:\n${many}\n`, 'yaml').then((large) => {
    const routes = gatewayObjects(large, names) as {
      kind: string;
      spec: { rules?: { matches: unknown[] }[] };
    }[];
    const rules = routes.flatMap(({ kind, spec }) => (kind === 'GRPCRoute' ? [spec.rules ?? []] : []));
    expect(rules.map((list) => list.length)).toEqual([16, 16, 6]);
    expect(rules.flat().reduce((sum, { matches }) => sum + matches.length, 0)).toBe(300);
  });
});

test('G28 methods without a rule, and rules without a method, are found', () => {
  const served = new Set(['/shop.Orders/Hours', '/shop.Orders/Cancel', '/shop.Orders/Ship']);
  expect(compareMethods(policy, served)).toEqual({
    unlisted: ['/shop.Orders/Ship'],
    covered: [],
    unknown: ['/shop.Orders/List', '/shop.Orders/Refund'],
  });
  expect(compareMethods(open, new Set(['/a.B/D']))).toEqual({
    unlisted: [],
    covered: ['/a.B/D'],
    unknown: ['/a.B/C'],
  });
});
