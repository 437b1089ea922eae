import { describe, expect, test } from '@jest/globals';

import { bindingViolations, claimsMatch, mismatches } from '../../../src/features/workloads/binding-rules.ts';
import type { IssuerKind } from '../../../src/features/workloads/trusted-issuer.ts';
import { shapes } from '../../support/outside-issuer.ts';

const faultOf = (issuer: string | null, claims: Record<string, string>, kind: IssuerKind = 'oidc') =>
  bindingViolations(issuer === null ? null : { issuer, kind }, claims)[0]?.description ?? null;
const GITHUB = 'https://token.actions.githubusercontent.com';

describe('what a binding must name', () => {
  const rows: readonly [string, Record<string, string>, RegExp | null, IssuerKind?][] = [
    ['https://i.example', { sub: 's' }, null],
    ['https://i.example', {}, /must not be empty/],
    ['https://i.example', { email: 'a@b' }, /must contain sub/],
    ['https://i.example', { sub: '' }, /must not be empty/],
    ['https://i.example', { 'a//b': 'x', sub: 's' }, /empty part/],
    ['https://i.example', { '/sub': 'x' }, /empty part/],
    ['https://i.example', { 'a~2b': 'x', sub: 's' }, /~/],
    [
      'https://i.example',
      Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`c${n}`, 'x'])),
      /at most 16/,
    ],
    [GITHUB, { sub: 'repo:o/r:ref:refs/heads/main' }, /repository_id or repository_owner_id: GitHub/],
    [GITHUB, { repository: 'o/r', ref: 'refs/heads/main' }, /repository_id/],
    [GITHUB, { repository_id: '1' }, null],
    [GITHUB, { repository_owner_id: '1', sub: 's' }, null],
    [`${GITHUB}/my-enterprise`, { sub: 's' }, /repository_id/],
    ['https://token.actions.acme.ghe.com', { sub: 's' }, /repository_id/],
    ['https://ghes.example/_services/token', { sub: 's' }, /repository_id/],
    ['https://anything.example', { sub: 'repo:o/r:ref:x' }, /repository_id/],
    ['https://anything.example', { sub: 's', repository: 'o/r' }, /repository_id/],
    ['https://anything.example', { repository_id: '1' }, null],
    [
      'https://gitlab.com',
      { sub: 'project_path:g/p:ref_type:branch:ref:main' },
      /project_id or namespace_id: GitLab/,
    ],
    ['https://gitlab.com', { project_path: 'g/p' }, /project_id/],
    ['https://gitlab.com', { project_id: '1' }, null],
    ['https://gitlab.example', { sub: 'project_path:g/p:ref_type:branch:ref:main' }, /project_id/],
    ['https://gitlab.example', { namespace_id: '1', ref_protected: 'true' }, null],
    [
      'https://k8s.example',
      { 'kubernetes.io/namespace': 'shop' },
      /sub or kubernetes.io\/serviceaccount\/uid/,
      'kubernetes',
    ],
    ['https://k8s.example', { 'kubernetes.io/serviceaccount/uid': 'u' }, null, 'kubernetes'],
    ['https://k8s.example', { sub: 'system:serviceaccount:shop:billing' }, null, 'kubernetes'],
    [GITHUB, { sub: 'repo:o/r:ref:refs/heads/main' }, /repository_id/, 'kubernetes'],
    ['https://gitlab.com', { sub: 's' }, /project_id/, 'kubernetes'],
    ['spiffe://td', { sub: 'spiffe://td/a' }, null, 'spiffe'],
    ['spiffe://td', { sub: 'spiffe://td.other/a' }, /of the trust domain as sub: spiffe:\/\/td\//, 'spiffe'],
    ['spiffe://td', { sub: 'spiffe://td/a/../b' }, /of the trust domain/, 'spiffe'],
    ['spiffe://td', { sub: 'spiffe://td' }, /of the trust domain/, 'spiffe'],
    ['spiffe://td', { team: 'a' }, /must contain sub/, 'spiffe'],
  ];
  test.each(rows.map(([issuer, claims, fault, kind = 'oidc']) => ({ issuer, claims, fault, kind })))('W07 W08 at $issuer $claims: $fault', ({ issuer, claims, fault, kind }) => {
    const found = faultOf(issuer, claims, kind);
    if (fault === null) expect(found).toBeNull();
    else expect(found).toMatch(fault);
  }); // prettier-ignore

  test.each<[Record<string, string>, boolean]>([
    [{ uri: 'spiffe://td/a' }, true],
    [{ dns: 'a.example' }, true],
    [{ dns: '*.example' }, false],
    [{ dns: 'A.example' }, false],
    [{ uri: 'a.example' }, false],
    [{ dns: 'spiffe://td/a' }, false],
    [{ uri: 'SPIFFE://td/a' }, false],
    [{ uri: 'spiffe://TD/a' }, false],
    [{ uri: 'spiffe://td/../a' }, false],
    [{ uri: 'spiffe://td//a' }, false],
    [{ uri: 'spiffe:td' }, false],
    [{ uri: 'https://a.example/x' }, true],
    [{ uri: 'spiffe://td/a', dns: 'a.example' }, false],
    [{ sub: 's' }, false],
    [{}, false],
  ])('W12 of a certificate %j: %s', (claims, isValid) => {
    expect(faultOf(null, claims) === null).toBe(isValid);
  });
});

describe('W07 what matches', () => {
  const claims = { sub: 's', n: 7, f: 1.5, b: true, l: ['a', 'b', 3], o: { 'x.y': { z: 'deep' }, 'p/q': 'slash', '~': 't' }, nothing: null }; // prettier-ignore
  test.each<[Record<string, string>, boolean]>([
    [{ sub: 's' }, true],
    [{ sub: 'S' }, false],
    [{ sub: 's*' }, false],
    [{ sub: '*' }, false],
    [{ sub: 's', l: 'b' }, true],
    [{ l: 'a,b' }, false],
    [{ l: '3' }, true],
    [{ 'l/0': 'a' }, false],
    [{ n: '7' }, true],
    [{ n: '7.0' }, false],
    [{ f: '1.5' }, false],
    [{ b: 'true' }, true],
    [{ 'o/x.y/z': 'deep' }, true],
    [{ 'o/p~1q': 'slash' }, true],
    [{ 'o/~0': 't' }, true],
    [{ 'o/p/q': 'slash' }, false],
    [{ nothing: 'null' }, false],
    [{ absent: 'undefined' }, false],
    [{ constructor: 'x' }, false],
    [{ '__proto__/x': 'y' }, false],
    [{ 'sub/length': '1' }, false],
  ])('%j: %s', (bound, matches) => {
    expect(claimsMatch(bound, claims)).toBe(matches);
  });

  test('every claim must match, and the ones that do not are named', () => {
    const github = shapes.github('i', 'a');
    expect(mismatches({ repository_id: '74', ref: 'refs/heads/other', environment: 'prod' }, github)).toEqual(
      ['ref', 'environment'],
    );
  });
});
