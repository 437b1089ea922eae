import { encode, forge, json, members, Specimen, type TokenSetting } from './forge.ts';

/**
 * Validly signed tokens that must be accepted: a verifier that refuses everything would pass every other test. They
 * are just within the rules that the hostile tokens break.
 */
export function* validTokens(
  setting: TokenSetting,
): Generator<{ name: string; token: string }, void, undefined> {
  const specimen = new Specimen(setting);
  const { header, claims, mode } = specimen;
  const { signingKey, nowSeconds, audience, maxLifetimeSeconds } = setting;
  yield { name: 'as issued', token: setting.validToken };
  if (signingKey === null) return;
  const withHeader = (text: string) => forge(mode, text, json(claims), signingKey);
  const withClaims = (text: string) => forge(mode, json(header), text, signingKey);

  for (const typ of ['at+jwt', 'AT+JWT', 'At+Jwt', 'application/at+jwt', 'APPLICATION/AT+JWT']) {
    yield { name: `typ ${typ}`, token: withHeader(specimen.headerWith({ typ })) };
  }
  const reversed = Object.entries(header).reverse();
  yield {
    name: 'header in another order',
    token: withHeader(members(...reversed.map(([name, value]) => [name, json(value)] as const))),
  };
  yield {
    name: 'white space in the header',
    token: withHeader(` ${JSON.stringify(header, null, '\t')}\r\n`),
  };
  yield { name: 'white space in the claims', token: withClaims(`\n${JSON.stringify(claims, null, 2)} `) };
  yield {
    name: 'a member written with escapes',
    token: withClaims(json(claims).replace('"sub"', '"\\u0073ub"')),
  };
  const valid = {
    'an audience list': { aud: ['elsewhere', audience] },
    'one audience in a list': { aud: [audience] },
    'no roles': { roles: [] },
    'a service': { sid: undefined, client_id: 'billing-service' },
    'members that nobody knows': {
      x: { y: [1, -0.5, 'z', null, true, { z: {} }] },
      scope: 'a b',
      __proto__x: 1,
    },
    'a date with a fraction': { iat: nowSeconds - 0.25, exp: nowSeconds + 300.75 },
    'nbf in the past': { nbf: nowSeconds - 1 },
    'the longest life': { iat: nowSeconds, exp: nowSeconds + maxLifetimeSeconds },
    'the longest ids': {
      sub: 'x'.repeat(256),
      jti: 'y'.repeat(256),
      sid: 'z'.repeat(256),
      client_id: 'c'.repeat(256),
    },
    'ids beyond ASCII': { sub: 'J\u00f6rg \u674e \u{1f511}' },
    'ids with awkward characters': { sub: `"\\/'<>&%` },
  };
  for (const [name, changes] of Object.entries(valid))
    yield { name, token: withClaims(specimen.claimsWith(changes)) };
  const token = withClaims(specimen.claimsWith({ padding: '' }));
  const room = Math.floor(((8192 - token.length) * 3) / 4) - 3;
  yield { name: 'nearly 8192 bytes', token: withClaims(specimen.claimsWith({ padding: 'x'.repeat(room) })) };
  if (mode !== 'HS256') return;
  for (const typ of ['JWT', 'jwt', 'application/jwt'])
    yield { name: `typ ${typ}`, token: withHeader(specimen.headerWith({ typ })) };
  yield {
    name: 'what jsonwebtoken signs',
    token: withClaims(
      json({ sub: '42', iat: nowSeconds, exp: nowSeconds + 86_400, aud: audience, iss: setting.issuer }),
    ),
  };
  yield { name: 'a year of life', token: withClaims(specimen.claimsWith({ exp: nowSeconds + 31_536_000 })) };
}

/** The header and the claims of a token, as segments of other tokens, for tests that mix two valid ones. */
export function mixed(one: string, other: string): readonly string[] {
  const [h1 = '', c1 = '', s1 = ''] = one.split('.');
  const [h2 = '', c2 = '', s2 = ''] = other.split('.');
  return [
    `${h1}.${c2}.${s1}`,
    `${h2}.${c1}.${s2}`,
    `${h1}.${c1}.${s2}`,
    `${h2}.${c2}.${s1}`,
    `${h1}.${c1}.${encode('')}${s2}`,
  ];
}
