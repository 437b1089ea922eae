import { describe, expect, test } from '@jest/globals';

import type { Actor } from '../../src/domain/claims/actor.ts';
import type { VerifiedClaims } from '../../src/domain/claims/claims.ts';
import {
  type MethodRule,
  methodPolicy,
  type RequiredToken,
  ruleOf,
  ruleOfPath,
  unmetBy,
} from '../../src/policy/method-policy.ts';

const token: RequiredToken = {
  audience: null,
  roles: [],
  actors: [],
  minAcr: null,
  maxAuthAgeSeconds: null,
};
const admin: RequiredToken = { ...token, roles: ['admin'] };
const NOW_SECONDS = 1_800_000_000.9;
const methods = new Map<string, MethodRule>([
  ['/shop.Orders/Hours', 'public'],
  ['/shop.Orders/Cancel', admin],
]);
const closed = methodPolicy(methods, null);
const open = methodPolicy(methods, 'public');

const actor = (name: string | null, before: Actor | null = null): Actor => ({
  subject: 's',
  name,
  actor: before,
});
const claims = (facts: Partial<VerifiedClaims>) =>
  ({
    audience: ['orders'],
    roles: [],
    actor: null,
    acr: null,
    authenticatedAtSeconds: null,
    ...facts,
  }) as VerifiedClaims;

describe('G20 a method that is not listed', () => {
  test('is refused unless otherwise is written', () => {
    expect(ruleOf(closed, '/shop.Orders/Cancel')).toBe(admin);
    for (const method of ['/shop.Orders/List', '/shop.Orders/cancel', 'constructor', '__proto__', ''])
      expect([method, ruleOf(closed, method), ruleOf(open, method)]).toEqual([method, null, 'public']);
  });
});

describe('G21 the path of a request', () => {
  const variants = [
    '/shop.Orders/cancel',
    '/SHOP.orders/Cancel',
    '/shop.Orders/Cancel/',
    '/shop.Orders//Cancel',
    '//shop.Orders/Cancel',
    '/shop.Orders/./Cancel',
    '/x/../shop.Orders/Cancel',
    '/shop.Orders/Canc%65l',
    '/shop.Orders%2fCancel',
    '/shop.Orders/Cancel%00',
    '/shop.Orders/Cancel;a=b',
    '/shop.Orders\\Cancel',
    '/shop.Orders/Cancel ',
    '/shop.Orders/Cancel\n',
    '/shop.Orders/Canc\u00e9l',
    'shop.Orders/Cancel',
    'http://service/shop.Orders/Cancel',
    '*',
    '',
  ];

  test.each(variants)('%j is neither listed nor covered by otherwise', (path) => {
    expect([ruleOfPath(closed, path), ruleOfPath(open, path)]).toEqual([null, null]);
  });

  test('has the rule of its method, whatever its query', () => {
    for (const path of [
      '/shop.Orders/Cancel',
      '/shop.Orders/Cancel?',
      '/shop.Orders/Cancel?a=/b',
      '/shop.Orders/Cancel#a',
    ])
      expect([path, ruleOfPath(closed, path), ruleOfPath(open, path)]).toEqual([path, admin, admin]);
    expect(ruleOfPath(closed, '/shop.Orders/Hours?x')).toBe('public');
  });

  test('otherwise covers ordinary paths', () => {
    for (const path of ['/', '/index.html', '/a/b/c/', '/shop.Orders/List', '/a?b=%2f..', '/@user/a~b:c'])
      expect([path, ruleOfPath(closed, path), ruleOfPath(open, path)]).toEqual([path, null, 'public']);
  });
});

describe('G22 a valid token', () => {
  const reasonOf = (rule: MethodRule, facts: Partial<VerifiedClaims>) =>
    unmetBy(rule, claims(facts), NOW_SECONDS)?.reason ?? null;

  test('needs every role', () => {
    const both = { ...token, roles: ['admin', 'agent'] };
    expect(reasonOf(both, { roles: ['admin', 'agent', 'x'] })).toBeNull();
    expect(reasonOf(both, { roles: ['admin'] })).toBe('ROLE_MISSING');
    expect(reasonOf(admin, { roles: ['Admin', 'admin '] })).toBe('ROLE_MISSING');
  });

  test('needs the audience', () => {
    const reports = { ...token, audience: 'reports' };
    expect(reasonOf(reports, {})).toBe('TOKEN_CLAIMS_INVALID');
    expect(reasonOf(reports, { audience: ['orders', 'reports'] })).toBeNull();
  });

  test('needs one of the actors, and only the service that calls counts', () => {
    const rule = { ...token, actors: ['support', 'billing'] };
    expect(reasonOf(rule, {})).toBe('ACTOR_NOT_ALLOWED');
    expect(reasonOf(rule, { actor: actor('billing') })).toBeNull();
    expect(reasonOf(rule, { actor: actor('support', actor('shop')) })).toBeNull();
    expect(reasonOf(rule, { actor: actor('shop', actor('support')) })).toBe('ACTOR_NOT_ALLOWED');
    expect(reasonOf(rule, { actor: actor(null, actor('support')) })).toBe('ACTOR_NOT_ALLOWED');
    expect(reasonOf(token, { actor: actor('shop') })).toBeNull();
  });

  test('M42 needs the level, and the claim itself', () => {
    const second = { ...token, minAcr: 'aal2' } as const;
    expect(reasonOf(second, { acr: 'aal2' })).toBeNull();
    for (const acr of ['aal1', null, 'aal3', 'AAL2', '']) {
      expect([acr, reasonOf(second, { acr })]).toEqual([acr, 'STEP_UP_REQUIRED']);
    }
    const first = { ...token, minAcr: 'aal1' } as const;
    expect(['aal1', 'aal2', null].map((acr) => reasonOf(first, { acr }))).toEqual([
      null,
      null,
      'STEP_UP_REQUIRED',
    ]);
  });

  test('M42 needs a fresh proof, to the second', () => {
    const fresh = { ...token, maxAuthAgeSeconds: 300 };
    const atAge = (seconds: number) => ({ authenticatedAtSeconds: Math.floor(NOW_SECONDS) - seconds });
    expect([0, 300, 301].map((age) => reasonOf(fresh, atAge(age)))).toEqual([null, null, 'STEP_UP_REQUIRED']);
    expect(reasonOf(fresh, {})).toBe('STEP_UP_REQUIRED');
  });

  test('M42 learns of the level before the roles, which step-up may bring, and after the audience', () => {
    const strict = { ...admin, audience: 'orders', minAcr: 'aal2' } as const;
    expect(reasonOf(strict, { acr: 'aal1' })).toBe('STEP_UP_REQUIRED');
    expect(reasonOf(strict, { acr: 'aal2' })).toBe('ROLE_MISSING');
    expect(reasonOf(strict, { acr: 'aal1', audience: ['reports'] })).toBe('TOKEN_CLAIMS_INVALID');
    expect(reasonOf('public', {})).toBeNull();
  });
});
