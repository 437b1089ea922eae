import { describe, expect, test } from '@jest/globals';

import { claimsHint, claimsOf, exampleOf, firstClaims } from '../../console/src/pages/bindings/claims.ts';
import {
  EVERY_AUDIENCE,
  tokensLost,
  tokensLostText,
} from '../../console/src/pages/service-accounts/rights-change.ts';
import { ROLES_PATTERN } from '../../console/src/ui/words.ts';
import { OVERLAPS, rotationText } from '../../console/src/pages/service-accounts/secret-overlap.ts';
import { keyIdsOf, keySourceOf, keysOf } from '../../console/src/pages/trusted-issuers/key-source.ts';
import { ALGORITHMS, DEFAULT_ALGORITHMS, PRESETS } from '../../console/src/pages/trusted-issuers/presets.ts';
import { rightsLost } from '../../src/features/service-accounts/account-rights.ts';
import { MAX_OVERLAP_SECONDS } from '../../src/features/service-accounts/rotate-service-secret.ts';
import { bindingViolations } from '../../src/features/workloads/binding-rules.ts';
import {
  DEFAULT_ALGORITHMS as DEFAULTS_OF_SERVICE,
  type IssuerKind,
  issuerViolations,
} from '../../src/features/workloads/trusted-issuer.ts';
import { outsideAlgorithms } from '../../src/tokens/verify/outside-key.ts';

describe('C39 what ends with a change of rights', () => {
  const lists = [[], ['a'], ['b'], ['a', 'b']];
  const rights = lists.flatMap((roles) =>
    lists.flatMap((ownAudiences) =>
      lists.flatMap((delegationAudiences) =>
        [null, ['a'], ['b'], ['a', 'b']].map((allowedAudiences) => ({
          roles,
          ownAudiences,
          delegationAudiences,
          allowedAudiences,
        })),
      ),
    ),
  );
  type Rights = (typeof rights)[number];
  const shown = (of: Rights) => ({ ...of, allowedAudiences: of.allowedAudiences ?? [EVERY_AUDIENCE] });

  test('the console says it exactly as the service does it', () => {
    const wrong = rights.flatMap((before) =>
      rights
        // No change gives an account every audience.
        .filter(({ allowedAudiences }) => allowedAudiences !== null || before.allowedAudiences === null)
        .filter((after) => {
          const said = tokensLost(shown(before), shown(after));
          const done = rightsLost(before, after);
          return said.asSubject !== done.asSubject || said.asActor !== done.asActor;
        }),
    );
    expect([rights.length, wrong]).toEqual([256, []]);
  });

  test('the text names the tokens, and is empty when none ends', () => {
    const account = { roles: ['reader'], ownAudiences: ['orders'] };
    expect(tokensLostText(account, { ...account, roles: [] })).toContain(
      'Taken away: reader. All access tokens of the account end',
    );
    expect(tokensLostText(account, { ...account, ownAudiences: [] })).toContain(
      'Taken away: orders. All tokens in which the account acts',
    );
    expect(tokensLostText(account, { ...account, roles: ['reader', 'writer'] })).toBe('');
  });
});

test('C40 each overlap of a rotation is one that the service takes, and says what ends', () => {
  expect(OVERLAPS.every(({ seconds }) => seconds >= 0 && seconds <= MAX_OVERLAP_SECONDS)).toBe(true);
  expect(rotationText(0, false)).toContain('all its tokens end now');
  expect(rotationText(3_600, false)).toBe(
    'Both secrets work for 1 hour: give the program the new one in that time. No token ends.',
  );
  expect(rotationText(3_600, true)).toContain('An older secret, which is still accepted, stops working now');
});

test('C41 each preset is an issuer that the service trusts', () => {
  const keys = { from: 'discovery', jwksUrl: '', staticJwks: '', caPem: '', bearerFile: '' } as const;
  const jwksUrl = 'https://spire.example.org:8443';
  for (const { kind, exampleIssuer, maxAgeSeconds, acceptOnce } of PRESETS) {
    const issuer = {
      issuer: exampleIssuer,
      kind: kind.toLowerCase() as IssuerKind,
      keys: kind === 'SPIFFE' ? { ...keys, from: 'url' as const, jwksUrl } : keys,
      audience: 'https://auth.example.com',
      algorithms: DEFAULT_ALGORITHMS,
      maxAgeSeconds,
      acceptOnce,
    };
    expect(issuerViolations(issuer, 'https://auth.example.com')).toEqual([]);
  }
  expect([...ALGORITHMS].sort()).toEqual(Object.keys(outsideAlgorithms).sort());
  expect(DEFAULT_ALGORITHMS).toEqual(DEFAULTS_OF_SERVICE);
});

test('C41 a source of keys has only what belongs to it', () => {
  const entered = {
    from: 'url',
    jwksUrl: ' https://a.example/keys ',
    staticJwks: '{}',
    caPem: '',
    bearerFile: '',
  } as const;
  expect(keysOf(entered)).toEqual({ jwksUrl: 'https://a.example/keys' });
  expect(keysOf({ ...entered, from: 'discovery', caPem: 'PEM' })).toEqual({ caPem: 'PEM' });
  expect(keysOf({ ...entered, from: 'static', caPem: 'PEM', bearerFile: '/run/secrets/x' })).toEqual({
    staticJwks: '{}',
  });
  expect(keySourceOf(undefined).from).toBe('discovery');
  expect(keySourceOf({ staticJwks: '{}' }).from).toBe('static');
  expect(keysOf(keySourceOf({ jwksUrl: 'https://a.example/keys', bearerFile: '/run/secrets/x' }))).toEqual({
    jwksUrl: 'https://a.example/keys',
    bearerFile: '/run/secrets/x',
  });
  expect(keyIdsOf('{"keys": [{"kid": "k1"}, {}]}')).toEqual(['k1', 'key 2, without an id']);
  expect([keyIdsOf('no JSON'), keyIdsOf('null'), keyIdsOf('{"keys": [null]}')]).toEqual([[], [], []]);
});

describe('C42 the claims of a binding', () => {
  const issuers = [
    { issuer: '', kind: '' },
    ...PRESETS.map(({ exampleIssuer, kind }) => ({ issuer: exampleIssuer, kind })),
  ];

  test('the form begins with claims that the service takes for this kind of issuer', () => {
    for (const bound of issuers) {
      const lines = firstClaims(bound).map(({ path }) => ({ path, value: exampleOf(path, bound) }));
      const read = claimsOf(lines);
      const issuer =
        bound.issuer === '' ? null : { issuer: bound.issuer, kind: bound.kind.toLowerCase() as IssuerKind };
      expect('claims' in read ? bindingViolations(issuer, read.claims) : read).toEqual([]);
      expect(claimsHint(bound)).not.toBe('');
    }
  });

  test('a claim twice, without a name or without a value is refused before it is sent', () => {
    const line = (path: string, value: string) => ({ path, value });
    expect(claimsOf([line('sub', 'a'), line('', '')])).toEqual({ claims: { sub: 'a' } });
    expect(claimsOf([line(' sub ', 'a'), line('sub', 'b')])).toEqual({
      fault: expect.stringContaining('twice'),
    });
    expect(claimsOf([line('', 'a')])).toEqual({ fault: expect.stringContaining('no claim') });
    expect(claimsOf([line('sub', '')])).toEqual({ fault: expect.stringContaining('no value') });
    expect(claimsOf([line('', '')])).toEqual({ fault: 'At least one claim is needed.' });
    expect(claimsOf([line('__proto__', 'a')])).toEqual({ claims: Object.fromEntries([['__proto__', 'a']]) });
  });
});

test('the field of roles takes lists with commas or spaces, and a long wrong one costs nothing', () => {
  const pattern = new RegExp(`^(?:${ROLES_PATTERN})$`, 'v');
  const takes = (text: string) => pattern.test(text);
  expect(['', 'reader', ' reader, billing:write  x_y.z-1,', ' , '].map(takes)).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(['Reader', 'reader;writer', '1a', '<b>'].map(takes)).toEqual([false, false, false, false]);
  const started = performance.now();
  expect(takes(`${'a'.repeat(5_000)}!`)).toBe(false);
  expect(performance.now() - started).toBeLessThan(200);
});
