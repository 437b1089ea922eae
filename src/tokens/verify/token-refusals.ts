import type { TokenRefusal, TokenRefusalReason } from '../../domain/rejection.ts';

function refusal(reason: TokenRefusalReason, detail: string): TokenRefusal {
  return Object.freeze({ reason, detail });
}

/**
 * Every refusal other than those for claims, which are in `domain/claim-refusals.ts`. Each is created once: a flood of malformed
 * tokens allocates nothing, and a fixed text cannot leak parts of a token to a log or the caller (T25).
 */
export const refusals = {
  tooLarge: refusal('TOKEN_TOO_LARGE', 'the token is longer than 8192 bytes'),
  outsideTooLarge: refusal('TOKEN_TOO_LARGE', 'the token is longer than 16384 bytes'),

  notThreeSegments: refusal('TOKEN_MALFORMED', 'a token is three base64url segments joined by dots'),
  notCanonical: refusal('TOKEN_MALFORMED', 'a segment is not canonical base64url'),
  headerNotUtf8: refusal('TOKEN_MALFORMED', 'the header is not UTF-8'),
  headerNotJson: refusal('TOKEN_MALFORMED', 'the header is not one JSON object with distinct members'),
  headerMembers: refusal('TOKEN_MALFORMED', 'the header has a member other than alg, kid and typ'),
  headerTypes: refusal('TOKEN_MALFORMED', 'alg, kid and typ must be strings, and alg present'),
  kidMissing: refusal('TOKEN_MALFORMED', 'the header has no kid'),
  kidLength: refusal('TOKEN_MALFORMED', 'kid must have 1 to 128 characters'),
  claimsNotUtf8: refusal('TOKEN_MALFORMED', 'the claims are not UTF-8'),
  claimsNotJson: refusal('TOKEN_MALFORMED', 'the claims are not one JSON object with distinct members'),

  algNotAllowed: refusal('TOKEN_ALG_NOT_ALLOWED', 'alg is not an accepted algorithm'),
  algMismatch: refusal('TOKEN_ALG_NOT_ALLOWED', 'alg is not the algorithm of the key'),
  keyUnknown: refusal('TOKEN_KEY_UNKNOWN', 'no key with this kid is published'),
  kidWithSharedSecret: refusal(
    'TOKEN_KEY_UNKNOWN',
    'a token signed with the shared secret must not have a kid in its header',
  ),
  legacyEnded: refusal(
    'TOKEN_ALG_NOT_ALLOWED',
    'alg HS256 is no longer accepted, the time for tokens of the earlier login has ended',
  ),
  legacyType: refusal(
    'TOKEN_TYPE_INVALID',
    'typ must be JWT or absent in the header of a token of the earlier login',
  ),
  sharedSecretType: refusal(
    'TOKEN_TYPE_INVALID',
    'typ must be JWT or at+jwt in the header of a token signed with the shared secret',
  ),
  typeInvalid: refusal('TOKEN_TYPE_INVALID', 'typ is not that of an access token'),
  signatureLength: refusal(
    'TOKEN_SIGNATURE_INVALID',
    'the signature does not have the length that the algorithm requires',
  ),
  signatureInvalid: refusal('TOKEN_SIGNATURE_INVALID', 'the signature does not match'),
  revoked: refusal('TOKEN_REVOKED', 'the token, its session or its key was revoked'),
} as const;
