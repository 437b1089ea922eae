import { invalid, legacyInvalid, missing, notAnAccessToken } from './claim-refusals.ts';
import { isIdentifierList, isIdentifierOrNumber, isNumericDate } from './claim-values.ts';
import type { TokenRefusal } from '../rejection.ts';

/** Which tokens of an earlier login system are accepted, of those that its secret has signed. */
export interface LegacyClaimsPolicy {
  /** The claims that can name the user. A token must have exactly one of them. */
  readonly subjectClaims: readonly string[];
  /** The accepted values of `iss`, compared exactly. With null, a token must have none. */
  readonly issuers: readonly string[] | null;
  /** Like `issuers`, for `aud`. */
  readonly audiences: readonly string[] | null;
}

export const DEFAULT_LEGACY_POLICY: LegacyClaimsPolicy = Object.freeze({
  subjectClaims: Object.freeze(['user_id', 'sub']),
  issuers: null,
  audiences: null,
});

type Claims = Readonly<Record<string, unknown>>;
type TokenTypeClaim = keyof typeof notAnAccessToken;

/** By the members of `notAnAccessToken`: Flask-JWT-Extended has `type`, Django simplejwt `token_type`, Cognito `token_use`. */
export const tokenTypeClaims = Object.keys(notAnAccessToken) as TokenTypeClaim[];

/**
 * A token of another type than `access`. Programs sign refresh, reset and verification tokens with the secret of their
 * access tokens, and only this claim tells them apart (T27).
 */
export function* tokenTypeFaults(claims: Claims): Generator<TokenRefusal, void, undefined> {
  for (const name of tokenTypeClaims) {
    const type = claims[name];
    if (type !== undefined && type !== 'access') yield notAnAccessToken[name];
  }
}

/**
 * Legacy tokens name the user in one claim and have `exp`. Their lifetime is not limited here but by the date until which
 * legacy tokens are accepted. With two claims that could name the user, the user would be a guess.
 */
export function* legacyFaults(
  claims: Claims,
  policy: LegacyClaimsPolicy,
): Generator<TokenRefusal, void, undefined> {
  const { exp, iat, jti } = claims;
  yield* tokenTypeFaults(claims);
  const [name, ...others] = presentSubjectClaims(claims, policy);
  if (name === undefined) yield legacyInvalid.noSubject;
  else if (others.length > 0) yield legacyInvalid.severalSubjects;
  else if (!isIdentifierOrNumber(claims[name])) yield legacyInvalid.subject;
  if (!isNumericDate(exp)) yield exp === undefined ? missing.exp : invalid.exp;
  if (iat !== undefined && !isNumericDate(iat)) yield invalid.iat;
  if (jti !== undefined && !isIdentifierOrNumber(jti)) yield legacyInvalid.jti;
  yield* issuerFaults(claims.iss, policy.issuers);
  yield* audienceFaults(claims.aud, policy.audiences);
}

/** The user of a legacy token without faults. */
export function legacySubject(claims: Claims, policy: LegacyClaimsPolicy): string {
  const [name = ''] = presentSubjectClaims(claims, policy);
  return String(claims[name]);
}

/** Only own members: a claim that is named like a member of `Object.prototype` must not be found in every token. */
function presentSubjectClaims(claims: Claims, { subjectClaims }: LegacyClaimsPolicy): string[] {
  return subjectClaims.filter((name) => Object.hasOwn(claims, name) && claims[name] !== undefined);
}

function* issuerFaults(iss: unknown, issuers: readonly string[] | null): Generator<TokenRefusal> {
  if (issuers === null) {
    if (iss !== undefined && iss !== null) yield legacyInvalid.issUnexpected;
  } else if (!issuers.some((issuer) => issuer === iss)) {
    yield legacyInvalid.iss;
  }
}

function* audienceFaults(aud: unknown, audiences: readonly string[] | null): Generator<TokenRefusal> {
  if (audiences === null) {
    if (aud !== undefined && aud !== null) yield legacyInvalid.audUnexpected;
    return;
  }
  const named = typeof aud === 'string' ? [aud] : aud;
  if (!isIdentifierList(named) || !audiences.some((audience) => named.includes(audience)))
    yield legacyInvalid.aud;
}
