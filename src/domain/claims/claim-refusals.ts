import { MAX_ACTORS } from './actor.ts';
import type { TokenRefusal } from '../rejection.ts';

/**
 * Every refusal for claims. Each is created once, with a fixed text, so that no part of a token gets into a log or an
 * answer (T25). The settings that a text names are known only to callers with a validly signed token.
 */
function claimsInvalid(detail: string): TokenRefusal {
  return Object.freeze({ reason: 'TOKEN_CLAIMS_INVALID', detail });
}

const IDENTIFIER_RULE = 'must be a string of 1 to 256 characters without control characters';
const LEGACY_ID_RULE =
  'must be a whole number of less than 2^53 or a string of 1 to 256 characters without control characters';
const DATE_RULE = 'must be a number of seconds, greater than 0 and less than 2^40';

export const invalid = {
  sub: claimsInvalid(`sub ${IDENTIFIER_RULE}`),
  jti: claimsInvalid(`jti ${IDENTIFIER_RULE}`),
  sid: claimsInvalid(`sid ${IDENTIFIER_RULE}`),
  clientId: claimsInvalid(`client_id ${IDENTIFIER_RULE}`),
  externalId: claimsInvalid(`external_id ${IDENTIFIER_RULE}`),
  name: claimsInvalid(`name ${IDENTIFIER_RULE}`),
  act: claimsInvalid(`act must be an object whose sub ${IDENTIFIER_RULE}, nested at most ${MAX_ACTORS} deep`),
  acr: claimsInvalid(`acr ${IDENTIFIER_RULE}`),
  amr: claimsInvalid('amr must be a list of strings of 1 to 256 characters without control characters'),
  authTime: claimsInvalid(`auth_time ${DATE_RULE}`),
  roles: claimsInvalid('roles must be a list of strings of 1 to 256 characters without control characters'),
  exp: claimsInvalid(`exp ${DATE_RULE}`),
  iat: claimsInvalid(`iat ${DATE_RULE}`),
  nbf: claimsInvalid(`nbf ${DATE_RULE}`),
  iss: claimsInvalid('iss is not the trusted issuer'),
  audType: claimsInvalid('aud must be a string or a list of strings'),
  aud: claimsInvalid('aud has no accepted audience'),
  requiredAudience: claimsInvalid('aud does not have the required audience'),
  lifetime: claimsInvalid('the time from iat to exp is longer than the maximum lifetime of a token'),
} as const;

/** For tokens without a claim that they must have. */
export const missing = {
  sub: claimsInvalid(`the token has no sub, which ${IDENTIFIER_RULE}`),
  exp: claimsInvalid(`the token has no exp, which ${DATE_RULE}`),
  iat: claimsInvalid(`the token has no iat, which ${DATE_RULE}`),
  aud: claimsInvalid('the token has no aud, which must have an accepted audience'),
} as const;

/** For tokens of an earlier login system. */
export const legacyInvalid = {
  noSubject: claimsInvalid(
    'the token names no user in a claim that POSTERN_LEGACY_HS256_SUBJECT lists, user_id and sub by default',
  ),
  severalSubjects: claimsInvalid(
    'the token has more than one of the claims that POSTERN_LEGACY_HS256_SUBJECT lists, so its user would be a guess',
  ),
  subject: claimsInvalid(`the claim that names the user ${LEGACY_ID_RULE}`),
  jti: claimsInvalid(`jti ${LEGACY_ID_RULE}`),
  issUnexpected: claimsInvalid(
    'iss must be absent or null in a token of the earlier login unless POSTERN_LEGACY_HS256_ISSUER names it',
  ),
  iss: claimsInvalid('iss is not an issuer that POSTERN_LEGACY_HS256_ISSUER names'),
  audUnexpected: claimsInvalid(
    'aud must be absent or null in a token of the earlier login unless POSTERN_LEGACY_HS256_AUDIENCE names it',
  ),
  aud: claimsInvalid('aud has no audience that POSTERN_LEGACY_HS256_AUDIENCE names'),
} as const;

/** For the claims by which other programs tell apart what one secret signs. */
export const notAnAccessToken = {
  type: notAccess('type'),
  token_type: notAccess('token_type'),
  token_use: notAccess('token_use'),
  purpose: notAccess('purpose'),
  typ: notAccess('typ'),
  tokenType: notAccess('tokenType'),
  tokenUse: notAccess('tokenUse'),
} as const;

function notAccess(name: string): TokenRefusal {
  return claimsInvalid(
    `the claim ${name} must be access or absent, since the same secret may sign refresh and reset tokens`,
  );
}

export const expired: TokenRefusal = Object.freeze({
  reason: 'TOKEN_EXPIRED',
  detail: 'the token has expired',
});

export const notYetValid = {
  nbf: Object.freeze({ reason: 'TOKEN_NOT_YET_VALID', detail: 'nbf is in the future' }),
  iat: Object.freeze({ reason: 'TOKEN_NOT_YET_VALID', detail: 'iat is in the future' }),
} as const satisfies Record<string, TokenRefusal>;
