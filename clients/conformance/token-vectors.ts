import type { VerifiedClaims } from '../../src/domain/claims/claims.ts';
import { forge, json, Specimen, type TokenSetting } from '../../test/security/forge.ts';
import { hostileTokens } from '../../test/security/hostile-tokens.ts';
import { mixed, validTokens } from '../../test/security/valid-tokens.ts';
import { type VerifierUnderTest, verifierUnderTest } from '../../test/security/verifier-under-test.ts';
import { boundaryTokens } from './boundary-vectors.ts';
import {
  AUTHENTICATED,
  MALFORMED_AUTHENTICATION,
  MALFORMED_TIMES,
  requiredAuthentication,
} from './step-up-vectors.ts';
import type { ClaimsVector, Recipe, TokenSettingVectors, TokenVector } from './vectors.ts';

/** The published algorithms. Tokens of a shared secret are verified by the service alone. */
const ALGORITHMS = ['ES256', 'RS256', 'EdDSA'] as const;
const MAX_TEXT = 20_000;
const FLIPS = 300;

/** The vectors of every algorithm; each has passed the TypeScript verifier. @throws Error for one that did not */
export async function tokenVectors(): Promise<readonly TokenSettingVectors[]> {
  return Promise.all(
    ALGORITHMS.map(async (algorithm) => {
      const subject = await verifierUnderTest(algorithm);
      const setting = await subject.setting();
      const { policy, clock, keys } = subject;
      return {
        name: algorithm,
        now: clock.seconds,
        jwks: keys.ring.jwks.json,
        policy: {
          issuer: policy.issuer,
          audiences: policy.audiences,
          max_lifetime: policy.maxLifetimeSeconds,
          clock_skew: policy.skewSeconds,
        },
        tokens: [
          ...(await accepted(subject, setting)),
          ...(await refused(subject, setting)),
          ...(await atBoundaries(subject, setting)),
          ...(await malformed(subject, setting)),
          ...(await changed(subject, setting)),
          ...(await required(subject)),
          ...(await requiredActors(subject, setting)),
          ...(await withRequiredAuthentication(subject, setting)),
        ],
      };
    }),
  );
}

async function accepted(subject: VerifierUnderTest, setting: TokenSetting): Promise<TokenVector[]> {
  const specimen = new Specimen(setting);
  const key = subject.signingKey;
  const withClaims = (changes: object) =>
    forge(setting.mode, json(specimen.header), specimen.claimsWith({ ...changes }), key);
  const more = [
    { name: 'an external id', token: withClaims({ external_id: 'crm|42 \u00e9' }) },
    { name: 'a name', token: withClaims({ name: 'billing \u{1f511}' }) },
    { name: 'an actor', token: withClaims({ act: { sub: 'a-1', name: 'orders' } }) },
    { name: 'an actor without a name', token: withClaims({ act: { sub: 'a-1' } }) },
    { name: 'an actor with other members', token: withClaims({ act: { sub: 'a-1', iss: 7, roles: {} } }) },
    { name: 'four actors', token: withClaims({ act: actors(4) }) },
    { name: 'a date in scientific notation', token: scientific(specimen, subject) },
    { name: 'expired, within the clock skew', token: withClaims({ exp: setting.nowSeconds - 4 }) },
    { name: 'not valid yet, within the clock skew', token: withClaims({ nbf: setting.nowSeconds + 5 }) },
    { name: 'ids of 256 UTF-16 code units', token: withClaims({ sub: '\u{1f511}'.repeat(128) }) },
    ...AUTHENTICATED.map(([name, claims]) => ({ name, token: withClaims(claims) })),
  ];
  return Promise.all(
    [...validTokens(setting), ...more].map(async ({ name, token }) => ({
      name,
      token,
      claims: await claimsOf(subject, name, token),
    })),
  );
}

/** A claim `act` with so many actors. */
function actors(count: number): object {
  const before = count > 1 ? { act: actors(count - 1) } : {};
  return { sub: `a-${count}`, name: `service-${count}`, ...before };
}

/** Claims that say who acts, or what the subject is called, in a form that no verifier may guess the meaning of. */
const MALFORMED: readonly (readonly [name: string, claims: object])[] = [
  ['name is a number', { name: 7 }],
  ['name is empty', { name: '' }],
  ['name is null', { name: null }],
  ['name has a control character', { name: 'a\nb' }],
  ['name of 257 characters', { name: 'n'.repeat(257) }],
  ['act is null', { act: null }],
  ['act is a text', { act: 'orders' }],
  ['act is a list', { act: [{ sub: 'a-1' }] }],
  ['act is a number', { act: 1 }],
  ['act is true', { act: true }],
  ['act without sub', { act: { name: 'orders' } }],
  ['act with an empty sub', { act: { sub: '' } }],
  ['act with a sub that is a number', { act: { sub: 1 } }],
  ['act with a sub of 257 characters', { act: { sub: 's'.repeat(257) } }],
  ['act with a control character in sub', { act: { sub: 'a\u0085b' } }],
  ['act with a name that is null', { act: { sub: 'a-1', name: null } }],
  ['act with an empty name', { act: { sub: 'a-1', name: '' } }],
  ['act with an act that is null', { act: { sub: 'a-1', act: null } }],
  ['act with an act that is a list', { act: { sub: 'a-1', act: [] } }],
  ['act with an act without sub', { act: { sub: 'a-1', act: {} } }],
  ['five actors', { act: actors(5) }],
  [
    'a fourth actor with a malformed name',
    { act: { ...actors(3), act: { ...actors(2), act: { sub: 'a', name: 1 } } } },
  ],
];

function malformed(subject: VerifierUnderTest, setting: TokenSetting): Promise<TokenVector[]> {
  const specimen = new Specimen(setting);
  const changed =
    (row: string) =>
    ([name, claims]: readonly [string, object]) => ({ name, row, text: specimen.claimsWith({ ...claims }) });
  const texts = [
    ...MALFORMED.map(changed('G12')),
    ...MALFORMED_AUTHENTICATION.map(changed('M50')),
    ...MALFORMED_TIMES.map((time) => ({
      name: `auth_time ${time}`,
      row: 'M50',
      text: specimen.claimsWithText('auth_time', time),
    })),
  ];
  return Promise.all(
    texts.map(async ({ name, row, text }) => {
      const token = forge(setting.mode, json(specimen.header), text, subject.signingKey);
      const reason = await reasonFor(subject, name, token);
      if (reason !== 'TOKEN_CLAIMS_INVALID') throw new Error(`${name}: ${reason}`);
      return { name, row, token, expect: [reason] };
    }),
  );
}

function scientific(specimen: Specimen, subject: VerifierUnderTest): string {
  const claims = specimen.claimsWithText('exp', `${(subject.clock.seconds + 60) / 1000}e3`);
  return forge(subject.mode, json(specimen.header), claims, subject.signingKey);
}

async function refused(subject: VerifierUnderTest, setting: TokenSetting): Promise<TokenVector[]> {
  return Promise.all(
    [...hostileTokens(setting)].map(async ({ name, row, token, expected }) => {
      const reason = await reasonFor(subject, name, token);
      if (!(expected as readonly string[]).includes(reason)) throw new Error(`${name}: ${reason}`);
      return { name, row, token: written(token), expect: expected };
    }),
  );
}

async function atBoundaries(subject: VerifierUnderTest, setting: TokenSetting): Promise<TokenVector[]> {
  return Promise.all(
    [...boundaryTokens(subject, setting)].map(async ({ name, row, token, expected }) => {
      if (expected === null) return { name, token, claims: await claimsOf(subject, name, token) };
      const reason = await reasonFor(subject, name, token);
      if (reason !== expected) throw new Error(`${name}: ${reason}`);
      return { name, row, token, expect: [expected] };
    }),
  );
}

/** Tokens with one bit flipped, in the text or in a decoded segment, and parts of two valid tokens (T20, T21). */
async function changed(subject: VerifierUnderTest, { validToken }: TokenSetting): Promise<TokenVector[]> {
  const random = sequence(1);
  const flips = Array.from({ length: FLIPS }, (_, index) => {
    const isText = index % 2 === 0;
    const parts = isText ? [Buffer.from(validToken)] : decoded(validToken);
    const part = parts[random(parts.length)] ?? Buffer.alloc(1);
    const at = random(part.length);
    part[at] = (part[at] ?? 0) ^ (1 << random(8));
    const token = isText
      ? part.toString('latin1')
      : parts.map((bytes) => bytes.toString('base64url')).join('.');
    return {
      name: `${isText ? 'a bit of the text' : 'a bit of a segment'} #${index + 1}`,
      row: 'T21',
      token,
    };
  });
  const [one, other] = [await subject.issue(), await subject.issue({ roles: ['admin'] })];
  const parts = mixed(one, other).map((token, index) => ({
    name: `parts of two tokens #${index + 1}`,
    row: 'T20',
    token,
  }));
  return Promise.all(
    [...flips, ...parts].map(async (vector) => ({
      ...vector,
      expect: [await reasonFor(subject, vector.name, vector.token)],
    })),
  );
}

/** What the caller of a verifier asks for beyond a valid token. */
async function required(subject: VerifierUnderTest): Promise<TokenVector[]> {
  const token = await subject.issue({ roles: ['editor', 'reader'], audience: 'billing' });
  const name = 'requirements';
  const claims = await claimsOf(subject, name, token);
  return [
    { name: `${name}: met`, token, require: { audience: 'billing', roles: ['reader', 'editor'] }, claims },
    {
      name: `${name}: another audience`,
      row: 'T15',
      token,
      require: { audience: 'postern' },
      expect: ['TOKEN_CLAIMS_INVALID'],
    },
    {
      name: `${name}: a missing role`,
      row: 'T15',
      token,
      require: { roles: ['reader', 'admin'] },
      expect: ['ROLE_MISSING'],
    },
    {
      name: `${name}: another audience and a missing role`,
      row: 'T15',
      token,
      require: { audience: 'postern', roles: ['admin'] },
      expect: ['TOKEN_CLAIMS_INVALID'],
    },
  ];
}

/** The actor that a caller of a verifier asks for: only the last one counts, and by its name alone. */
async function requiredActors(subject: VerifierUnderTest, setting: TokenSetting): Promise<TokenVector[]> {
  const specimen = new Specimen(setting);
  const withActor = (act?: object) =>
    forge(setting.mode, json(specimen.header), specimen.claimsWith({ act }), subject.signingKey);
  const four = withActor(actors(4));
  const met = { name: 'required actors: met', token: four, require: { actors: ['other', 'service-4'] } };
  const unmet = (what: string, token: string, wanted: string[]): TokenVector => ({
    name: `required actors: ${what}`,
    row: 'G11',
    token,
    require: { actors: wanted },
    expect: ['ACTOR_NOT_ALLOWED'],
  });
  return [
    { ...met, claims: await claimsOf(subject, met.name, four) },
    unmet('one before the last', four, ['service-1', 'service-3']),
    unmet('the id of the actor', withActor({ sub: 'a-1' }), ['a-1']),
    unmet('another case', four, ['Service-4']),
    unmet('no actor', withActor(), ['service-4']),
  ];
}

/** The level and the age of the proof that a caller of a verifier asks for. */
function withRequiredAuthentication(
  subject: VerifierUnderTest,
  setting: TokenSetting,
): Promise<TokenVector[]> {
  return Promise.all(
    requiredAuthentication(subject, setting).map(async ({ name, token, require, expect }) => {
      const claims = await claimsOf(subject, name, token);
      return expect === null
        ? { name, token, require, claims }
        : { name, row: 'M51', token, require, expect };
    }),
  );
}

async function claimsOf(subject: VerifierUnderTest, name: string, token: string): Promise<ClaimsVector> {
  const verdict = await subject.verifier.verify(token);
  if (!verdict.ok) throw new Error(`${name} was refused: ${verdict.refusal.detail}`);
  return claimsVector(verdict.claims);
}

export function claimsVector(claims: VerifiedClaims): ClaimsVector {
  return {
    subject: claims.subject,
    subject_type: claims.subjectType,
    session_id: claims.sessionId,
    token_id: claims.tokenId,
    client_id: claims.clientId,
    external_id: claims.externalId,
    subject_name: claims.subjectName,
    actor: claims.actor,
    acr: claims.acr,
    amr: claims.amr,
    authenticated_at: claims.authenticatedAtSeconds,
    issuer: claims.issuer,
    audience: claims.audience,
    roles: claims.roles,
    issued_at: claims.issuedAtSeconds,
    expires_at: claims.expiresAtSeconds,
    key_id: claims.keyId,
  };
}

async function reasonFor(subject: VerifierUnderTest, name: string, token: string): Promise<string> {
  const verdict = await subject.verifier.verify(token);
  if (verdict.ok) throw new Error(`${name} was accepted`);
  return verdict.refusal.reason;
}

/** A token of such a length is refused for it, whatever the rest of its text is (T02). */
function written(token: string): string | Recipe {
  return token.length <= MAX_TEXT ? token : { head: token.slice(0, 200), fill: 'A', length: token.length };
}

const decoded = (token: string) => token.split('.').map((segment) => Buffer.from(segment, 'base64url'));

/** The same choices in every run: a linear congruential generator. @returns a number below `limit` */
function sequence(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}
