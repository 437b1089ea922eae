import { json } from './forge.ts';
import type { HostileClass } from './hostile-tokens.ts';

const claimsInvalid = ['TOKEN_CLAIMS_INVALID'] as const;

const notIdentifiers: readonly unknown[] = [
  null, 0, 1, -1, 1.5, true, false, [], ['x'], {}, { toString: 'x' }, '', 'x'.repeat(257), '\0', 'x\0', 'x\ny', 'x\r', '\t', 'x\u001b[31m',
  'x\u007f', 'x\u0085', 'x\u009f', '\ud800', 'x\ud83d', '\udc00x', 'x\udfff',
]; // prettier-ignore

/** JSON texts of invalid dates. */
const notDates = [
  'null', 'true', 'false', '""', '"1"', '"9999999999"', '[]', '[9999999999]', '{}', '{"a":1}', '0', '-0', '0.0', '-1', '-9999999999', '1e400',
  '-1e400', '1e13', '1099511627776', '1e308', '9007199254740993', '"1e400"', '"Infinity"', '"2099-01-01"', '[[9999999999]]',
]; // prettier-ignore

/** Attacks by the claims: a wrong type that a loose comparison accepts, another issuer, audience or time. */
export const claimClasses: readonly HostileClass[] = [
  {
    name: 'an issuer that resembles ours',
    row: 'T14',
    expected: claimsInvalid,
    *variants(specimen) {
      const { issuer } = specimen.setting;
      const near = [
        `${issuer}/`,
        ` ${issuer}`,
        `${issuer} `,
        `${issuer}\0`,
        `${issuer}.attacker.example`,
        `https://attacker.example/${issuer}`,
        issuer.slice(0, -1),
        issuer.toUpperCase(),
        issuer.replace('http', 'HTTP'),
        `${issuer}#`,
        `${issuer}?`,
        `${issuer}/.`,
        issuer.replace('/', '\\'),
        encodeURIComponent(issuer),
        '',
      ];
      const wrong: readonly unknown[] = [
        null,
        0,
        1,
        true,
        [],
        [issuer],
        [issuer, 'https://attacker.example'],
        ['https://attacker.example', issuer],
        {},
        { iss: issuer },
        { toString: issuer },
      ];
      for (const iss of [...near, ...wrong, undefined]) yield { claims: specimen.claimsWith({ iss }) };
    },
  },
  {
    name: 'another audience, or none',
    row: 'T15',
    expected: claimsInvalid,
    *variants(specimen) {
      const { audience } = specimen.setting;
      const near = [
        `${audience} `,
        ` ${audience}`,
        `${audience}\0`,
        audience.toUpperCase(),
        audience.slice(0, -1),
        `${audience}x`,
        `${audience},x`,
        `${audience} x`,
        'x',
        '*',
        '',
      ];
      const wrong: readonly unknown[] = [
        null,
        0,
        1,
        true,
        false,
        {},
        { [audience]: true },
        { 0: audience, length: 1 },
        [],
        [[audience]],
        [[]],
        [audience, 1],
        [audience, null],
        [null, audience],
        [audience, ''],
        [audience, {}],
        [audience, [audience]],
        ['x'],
        ['x', 'y'],
        [''],
        [`${audience},x`],
      ];
      for (const aud of [...near, ...wrong, undefined]) yield { claims: specimen.claimsWith({ aud }) };
    },
  },
  {
    name: 'an invalid date',
    row: 'T16',
    expected: claimsInvalid,
    *variants(specimen) {
      for (const name of ['exp', 'iat', 'nbf']) {
        for (const date of notDates) yield { claims: specimen.claimsWithText(name, date) };
        yield { claims: specimen.claimsWith({ [name]: specimen.setting.nowSeconds * 1000 }) };
        yield { claims: specimen.claimsWith({ [name]: String(specimen.setting.nowSeconds) }) };
        if (name !== 'nbf') yield { claims: specimen.claimsWith({ [name]: undefined }) };
      }
    },
  },
  {
    name: 'an expired token',
    row: 'T16',
    expected: ['TOKEN_EXPIRED'],
    *variants(specimen) {
      const { nowSeconds } = specimen.setting;
      for (const age of [60, 61, 3600, 86_400, 31_536_000, nowSeconds - 2]) {
        const exp = nowSeconds - age;
        yield { claims: specimen.claimsWith({ exp, iat: Math.max(1, exp - 60) }) };
        yield { claims: specimen.claimsWith({ exp: exp + 0.9, iat: Math.max(1, exp - 60) }) };
        yield { claims: specimen.claimsWith({ exp, iat: exp + 10 }) };
      }
      yield { claims: specimen.claimsWithText('exp', '1e-5') };
    },
  },
  {
    name: 'a token that is not valid yet',
    row: 'T17',
    expected: ['TOKEN_NOT_YET_VALID'],
    *variants(specimen) {
      const { nowSeconds } = specimen.setting;
      for (const ahead of [300, 301, 3600, 86_400, 31_536_000]) {
        yield { claims: specimen.claimsWith({ nbf: nowSeconds + ahead }) };
        yield { claims: specimen.claimsWith({ nbf: nowSeconds + ahead + 0.5 }) };
        yield { claims: specimen.claimsWith({ iat: nowSeconds + ahead, exp: nowSeconds + ahead + 60 }) };
        yield { claims: specimen.claimsWith({ iat: nowSeconds + ahead }) };
      }
      yield { claims: specimen.claimsWith({ nbf: 2 ** 40 - 1 }) };
    },
  },
  {
    name: 'a token with too long a lifetime',
    row: 'T18',
    expected: claimsInvalid,
    *variants(specimen) {
      if (specimen.mode === 'HS256') return;
      const { nowSeconds, maxLifetimeSeconds } = specimen.setting;
      for (const longer of [0.5, 1, 60, 3600, 86_400, 31_536_000, 2 ** 39]) {
        yield {
          claims: specimen.claimsWith({ iat: nowSeconds, exp: nowSeconds + maxLifetimeSeconds + longer }),
        };
      }
      for (const older of [1, 3600, nowSeconds - 1]) {
        yield {
          claims: specimen.claimsWith({ iat: nowSeconds - older, exp: nowSeconds + maxLifetimeSeconds }),
        };
      }
    },
  },
  {
    name: 'an invalid id',
    row: 'T19',
    expected: claimsInvalid,
    *variants(specimen) {
      const optional = specimen.mode === 'HS256' ? ['jti', 'sid', 'client_id'] : ['sid', 'external_id'];
      // With the shared secret, external_id is what another program makes of it.
      const names = ['sub', 'jti', 'sid', 'client_id', ...(specimen.mode === 'HS256' ? [] : ['external_id'])];
      for (const name of names) {
        for (const id of notIdentifiers) yield { claims: specimen.claimsWith({ [name]: id }) };
        yield { claims: specimen.claimsWithText(name, '"\\ud800"') };
        yield { claims: specimen.claimsWithText(name, '"\\u0000"') };
        yield { claims: specimen.claimsWithText(name, '1e400') };
        if (!optional.includes(name)) yield { claims: specimen.claimsWith({ [name]: undefined }) };
      }
    },
  },
  {
    name: 'roles that are not a list of names',
    row: 'T19',
    expected: claimsInvalid,
    *variants(specimen) {
      for (const role of notIdentifiers) yield { claims: specimen.claimsWith({ roles: [role] }) };
      const wrong: readonly unknown[] = [
        null,
        0,
        true,
        '',
        'admin',
        {},
        { admin: true },
        { 0: 'admin', length: 1 },
        ['user', ['admin']],
        ['user', null],
      ];
      for (const roles of wrong) yield { claims: specimen.claimsWith({ roles }) };
    },
  },
  {
    name: 'other members in place of sub',
    row: 'T19',
    expected: claimsInvalid,
    *variants(specimen) {
      const inherited = json({ ...specimen.claims, sub: undefined }).slice(1, -1);
      for (const carrier of [
        '"__proto__":{"sub":"admin"}',
        '"constructor":{"prototype":{"sub":"admin"}}',
        '"SUB":"admin"',
        '"sub ":"admin"',
        '"user_id":1',
      ]) {
        yield { claims: `{${inherited},${carrier}}` };
      }
      yield { claims: '{}' };
    },
  },
];
