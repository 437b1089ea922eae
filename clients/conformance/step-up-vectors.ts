import {
  authenticationFault,
  authenticationLevels,
  type AuthenticationRequirement,
} from '../../src/domain/claims/authentication.ts';
import { forge, json, Specimen, type TokenSetting } from '../../test/security/forge.ts';
import type { VerifierUnderTest } from '../../test/security/verifier-under-test.ts';
import type { TokenVector } from './vectors.ts';

/** Claims that say how the user proved who they are. */
export const AUTHENTICATED: readonly (readonly [name: string, claims: object])[] = [
  ['acr, amr and auth_time', { acr: 'aal2', amr: ['pwd', 'otp'], auth_time: 1_799_999_990 }],
  ['acr alone', { acr: 'aal1' }],
  ['a level of another issuer', { acr: 'urn:example:gold \u{1f511}' }],
  ['acr of 256 UTF-16 code units', { acr: '\u{1f511}'.repeat(128) }],
  ['no amr in the list', { amr: [] }],
  ['amr without acr', { amr: ['swk', 'mfa'] }],
  ['methods that are unknown, and twice', { amr: ['recovery', 'face', 'face'] }],
  ['auth_time alone', { auth_time: 1 }],
  ['auth_time with a fraction', { auth_time: 1_799_999_990.9 }],
  ['auth_time below one', { auth_time: 0.5 }],
  ['auth_time in the future', { auth_time: 1_800_000_060 }],
  ['the last auth_time', { auth_time: 2 ** 40 - 1 }],
];

/** Forms of those claims that no verifier may guess the meaning of. */
export const MALFORMED_AUTHENTICATION: readonly (readonly [name: string, claims: object])[] = [
  ...([2, true, null, {}, ['aal2'], '', 'a\nb', 'a'.repeat(257), '\u{1f511}'.repeat(129)] as const).map(
    (acr, index) => [`acr that is no name #${index + 1}`, { acr }] as const,
  ),
  ...(['pwd', 1, false, null, {}, { 0: 'pwd' }] as const).map(
    (amr, index) => [`amr that is no list #${index + 1}`, { amr }] as const,
  ),
  ...([1, null, '', ['pwd'], {}, 'a\u0085b', 'a'.repeat(257)] as const).map(
    (method, index) => [`amr with what is no name #${index + 1}`, { amr: ['pwd', method] }] as const,
  ),
  ...(['1799999990', true, null, [1_799_999_990], {}, 0, -1, 2 ** 40] as const).map(
    (time, index) => [`auth_time that is no time #${index + 1}`, { auth_time: time }] as const,
  ),
];

/** `auth_time` as JSON that `JSON.stringify` does not write. */
export const MALFORMED_TIMES = ['1e400', '-0', '0e3'] as const;

export interface RequiredAuthentication {
  readonly name: string;
  readonly token: string;
  readonly require: NonNullable<TokenVector['require']>;
  /** Null when the token meets the requirement. */
  readonly expect: readonly string[] | null;
}

/** Valid tokens, and the level and the age of the proof that a caller of a verifier asks for. */
export function requiredAuthentication(
  subject: VerifierUnderTest,
  setting: TokenSetting,
): readonly RequiredAuthentication[] {
  const specimen = new Specimen(setting);
  const { nowSeconds: now } = setting;
  const withClaims = (changes: object) =>
    forge(setting.mode, json(specimen.header), specimen.claimsWith({ ...changes }), subject.signingKey);
  const sessions: readonly (readonly [string, { acr?: string; auth_time?: number }])[] = [
    ['nothing', {}],
    ['aal1', { acr: 'aal1', auth_time: now - 300 }],
    ['aal2', { acr: 'aal2', auth_time: now - 301 }],
    ['aal2 now', { acr: 'aal2', auth_time: now }],
    ['aal2 at an unknown time', { acr: 'aal2' }],
    ['a time without a level', { auth_time: now - 1 }],
    ['aal2 with a fraction', { acr: 'aal2', auth_time: now - 300.1 }],
    ['aal2 in the future', { acr: 'aal2', auth_time: now + 60 }],
    ['aal2 at the last time', { acr: 'aal2', auth_time: 2 ** 40 - 1 }],
    ...['AAL2', 'aal3', 'aal', 'aal2 ', 'constructor', '2'].map(
      (acr) => [acr, { acr, auth_time: now }] as const,
    ),
  ];
  const requirements: readonly AuthenticationRequirement[] = [
    ...authenticationLevels.map((minAcr) => ({ minAcr, maxAuthAgeSeconds: null })),
    ...[1, 299, 300, 301, 4_294_967_295].map((maxAuthAgeSeconds) => ({ minAcr: null, maxAuthAgeSeconds })),
    { minAcr: 'aal2', maxAuthAgeSeconds: 300 },
  ];
  const vectors = sessions.flatMap(([name, changes]) => {
    const token = withClaims(changes);
    const acr = changes.acr ?? null;
    const authenticatedAtSeconds = changes.auth_time === undefined ? null : Math.floor(changes.auth_time);
    return requirements.map((requirement): RequiredAuthentication => {
      const { minAcr, maxAuthAgeSeconds } = requirement;
      const fault = authenticationFault({ acr, authenticatedAtSeconds }, requirement, now);
      return {
        name: `required authentication: ${name} for ${minAcr ?? 'any level'}, ${maxAuthAgeSeconds ?? 'any time'}`,
        token,
        require: {
          ...(minAcr !== null && { min_acr: minAcr }),
          ...(maxAuthAgeSeconds !== null && { max_auth_age: maxAuthAgeSeconds }),
        },
        expect: fault === null ? null : ['STEP_UP_REQUIRED'],
      };
    });
  });
  const weak = withClaims({ acr: 'aal1', auth_time: now, roles: [] });
  const among = (
    what: string,
    require: RequiredAuthentication['require'],
    reason: string,
  ): RequiredAuthentication => ({
    name: `required authentication: ${what}`,
    token: weak,
    require: { min_acr: 'aal2', ...require },
    expect: [reason],
  });
  return [
    ...vectors,
    among('another audience as well', { audience: 'billing' }, 'TOKEN_CLAIMS_INVALID'),
    // A role that needs a second factor comes with it.
    among('a missing role as well', { roles: ['admin'] }, 'STEP_UP_REQUIRED'),
    among('a missing actor as well', { actors: ['shop'] }, 'STEP_UP_REQUIRED'),
  ];
}
