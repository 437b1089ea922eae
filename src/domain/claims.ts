import type { TokenRefusal } from './rejection.ts';

/** The claims of a verified token. Frozen, because the cache shares one object between calls. Times are Unix time in seconds. */
export interface VerifiedClaims {
  readonly subject: string;
  readonly subjectType: 'user' | 'service';
  readonly sessionId: string | null;
  readonly tokenId: string | null;
  readonly clientId: string | null;
  /** The user's id in another program. */
  readonly externalId: string | null;
  readonly issuer: string | null;
  readonly audience: readonly string[];
  readonly roles: readonly string[];
  readonly issuedAtSeconds: number | null;
  readonly expiresAtSeconds: number;
  readonly keyId: string | null;
}

/** The rules that claims are checked against. */
export interface ClaimsPolicy {
  /** Compared exactly (T14). */
  readonly issuer: string;
  /** The token must name one of these (T15). */
  readonly audiences: readonly string[];
  /** Maximum of `exp - iat` (T18). Not applied to tokens that other programs sign with the shared secret. */
  readonly maxLifetimeSeconds: number;
  /** Tolerated clock difference; 5 by default and at most 60 (T16). */
  readonly skewSeconds: number;
}

/**
 * Which rules apply. `access`: a token of Postern, signed with a published key. `shared-secret`: a token that any program
 * with the HS256 secret may have signed. `legacy`: a token of the login system that Postern replaced.
 */
export type ClaimsProfile = 'access' | 'shared-secret' | 'legacy';

export type ClaimsVerdict =
  | { readonly ok: true; readonly claims: VerifiedClaims }
  | { readonly ok: false; readonly refusal: TokenRefusal };

export type UncheckedClaims = Readonly<Record<string, unknown>>;

export const DEFAULT_SKEW_SECONDS = 5;

/**
 * Checks the claims of a token whose signature is valid (T12-T19): first the type of every claim, then issuer, audience
 * and lifetime, then the times. Unknown claims are ignored (RFC 7519 section 4), so a newer issuer may add some.
 *
 * @param nowSeconds Unix time, fractions allowed
 */
export function checkClaims(
  profile: ClaimsProfile,
  claims: UncheckedClaims,
  policy: ClaimsPolicy,
  keyId: string | null,
  nowSeconds: number,
): ClaimsVerdict {
  for (const refusal of claimFaults(profile, claims, policy, nowSeconds)) return { ok: false, refusal };
  return {
    ok: true,
    claims: Object.freeze(readClaims(profile, claims as unknown as CheckedClaims, policy, keyId)),
  };
}

/**
 * Reads the claims of a token whose signature is valid, even when this instance would refuse the token for its times, its
 * audience or its lifetime. For `access` tokens another issuer name is tolerated as well, since only Postern has the
 * private key. Used for revocation: a verifier with other settings or another clock may still accept the token, so it
 * must be revoked before it is reported as ended.
 */
export function identifyClaims(
  profile: ClaimsProfile,
  claims: UncheckedClaims,
  policy: ClaimsPolicy,
  keyId: string | null,
): ClaimsVerdict {
  for (const refusal of claimFaults(profile, claims, policy, 0)) {
    const isAcceptableElsewhere =
      acceptableElsewhere.has(refusal) || (profile === 'access' && refusal === invalid.iss);
    if (!isAcceptableElsewhere) return { ok: false, refusal };
  }
  return {
    ok: true,
    claims: Object.freeze(readClaims(profile, claims as unknown as CheckedClaims, policy, keyId)),
  };
}

/** All faults of the claims, in order of checking. `checkClaims` returns the first. */
export function* claimFaults(
  profile: ClaimsProfile,
  claims: UncheckedClaims,
  policy: ClaimsPolicy,
  nowSeconds: number,
): Generator<TokenRefusal, void, undefined> {
  if (profile === 'legacy') yield* legacyFaults(claims);
  else yield* standardFaults(profile, claims, policy);
  const { exp, nbf, iat } = claims;
  if (nbf !== undefined && !isNumericDate(nbf)) yield invalid.nbf;
  if (isNumericDate(exp) && hasExpired(exp, policy.skewSeconds, nowSeconds)) yield expired;
  if (isNumericDate(nbf) && nbf > nowSeconds + policy.skewSeconds) yield notYetValid.nbf;
  if (isNumericDate(iat) && iat > nowSeconds + policy.skewSeconds) yield notYetValid.iat;
}

/** The fault when a token lacks the audience that the caller requires, or null. A token without `aud` has no audience. */
export function audienceFault(
  claims: VerifiedClaims,
  requiredAudience: string | undefined,
): TokenRefusal | null {
  if (requiredAudience === undefined || claims.audience.includes(requiredAudience)) return null;
  return invalid.requiredAudience;
}

/** The fault when a token has expired, or null. Checked again on each cache hit (T24). */
export function expiryFault(
  claims: VerifiedClaims,
  skewSeconds: number,
  nowSeconds: number,
): TokenRefusal | null {
  return hasExpired(claims.expiresAtSeconds, skewSeconds, nowSeconds) ? expired : null;
}

function* standardFaults(
  profile: 'access' | 'shared-secret',
  claims: UncheckedClaims,
  policy: ClaimsPolicy,
): Generator<TokenRefusal, void, undefined> {
  const { iss, sub, aud, exp, iat, jti, sid, client_id: clientId, external_id: externalId, roles } = claims;
  const mayBeAbsent = (value: unknown) => profile === 'shared-secret' && value === undefined;
  if (!isIdentifier(sub)) yield invalid.sub;
  if (!isNumericDate(exp)) yield invalid.exp;
  if (!isNumericDate(iat)) yield invalid.iat;
  if (!isIdentifier(jti) && !mayBeAbsent(jti)) yield invalid.jti;
  if (!isIdentifier(clientId) && !mayBeAbsent(clientId)) yield invalid.clientId;
  if (!isIdentifier(sid) && sid !== undefined) yield invalid.sid;
  // What another program with the shared secret means by this name is its own affair.
  if (profile === 'access' && !isIdentifier(externalId) && externalId !== undefined) yield invalid.externalId;
  if (!isIdentifierList(roles) && !mayBeAbsent(roles)) yield invalid.roles;
  if (iss !== policy.issuer) yield invalid.iss;
  const audience = typeof aud === 'string' ? [aud] : aud;
  if (!isIdentifierList(audience)) yield invalid.audType;
  else if (!policy.audiences.some((accepted) => audience.includes(accepted))) yield invalid.aud;
  if (
    profile === 'access' &&
    isNumericDate(exp) &&
    isNumericDate(iat) &&
    exp - iat > policy.maxLifetimeSeconds
  ) {
    yield invalid.lifetime;
  }
}

/**
 * Legacy tokens have `user_id` and `exp`. Their lifetime is not limited here but by the date until which legacy tokens
 * are accepted. A token that also has `sub`, `iss` or `aud` came from elsewhere and is
 * refused, because its owner would be a guess.
 */
function* legacyFaults(claims: UncheckedClaims): Generator<TokenRefusal, void, undefined> {
  const { user_id: userId, exp, iat, sub, iss, aud } = claims;
  if (sub !== undefined || iss !== undefined || aud !== undefined) yield invalid.notLegacy;
  if (!isWholeNumber(userId) && !isIdentifier(userId)) yield invalid.userId;
  if (!isNumericDate(exp)) yield invalid.exp;
  if (iat !== undefined && !isNumericDate(iat)) yield invalid.iat;
}

/** Claims without faults. Only legacy tokens have `user_id`; all others have `sub`. */
interface CheckedClaims {
  readonly sub?: string;
  readonly user_id?: string | number;
  readonly aud?: string | readonly string[];
  readonly exp: number;
  readonly iat?: number;
  readonly jti?: string;
  readonly sid?: string;
  readonly client_id?: string;
  /** Unchecked with the shared secret. */
  readonly external_id?: unknown;
  readonly roles?: readonly string[];
}

function readClaims(
  profile: ClaimsProfile,
  claims: CheckedClaims,
  policy: ClaimsPolicy,
  keyId: string | null,
): VerifiedClaims {
  const expiresAtSeconds = Math.floor(claims.exp);
  const issuedAtSeconds = claims.iat === undefined ? null : Math.floor(claims.iat);
  const absentClaims = {
    sessionId: null,
    tokenId: null,
    clientId: null,
    externalId: null,
    issuer: null,
    audience: EMPTY_LIST,
    roles: EMPTY_LIST,
  };
  if (profile === 'legacy') {
    const subject = String(claims.user_id);
    return { ...absentClaims, subject, subjectType: 'user', issuedAtSeconds, expiresAtSeconds, keyId };
  }
  const { sub, aud, jti, sid, client_id: clientId, external_id: externalId, roles } = claims;
  return {
    subject: String(sub),
    // A token with sid belongs to a user. A program that shares the secret may set neither sid nor client_id: also a user.
    subjectType: sid === undefined && clientId !== undefined ? 'service' : 'user',
    sessionId: sid ?? null,
    tokenId: jti ?? null,
    clientId: clientId ?? null,
    externalId: isIdentifier(externalId) ? externalId : null,
    issuer: policy.issuer,
    audience: Object.freeze(typeof aud === 'string' ? [aud] : [...(aud ?? [])]),
    roles: Object.freeze([...(roles ?? [])]),
    issuedAtSeconds,
    expiresAtSeconds,
    keyId,
  };
}

/** True from `exp + skew` on (T16). The fraction of `exp` is dropped, as in the claims that a verifier caches. */
function hasExpired(exp: number, skewSeconds: number, nowSeconds: number): boolean {
  return nowSeconds >= Math.floor(exp) + skewSeconds;
}

/** A NumericDate (RFC 7519 section 2) in a plausible range: above 0 and below 2^40 (T16). */
function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value < 2 ** 40;
}

/** Safe to store, log and put into a header: 1 to 256 characters, no control characters or lone surrogates (T19). */
function isIdentifier(value: unknown): value is string {
  return (
    typeof value === 'string' && value.length >= 1 && value.length <= 256 && !/[\p{Cc}\p{Cs}]/u.test(value)
  );
}

function isIdentifierList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isIdentifier);
}

/** A user number without rounding, so that two users never share one. -0 is excluded: it would print as 0. */
function isWholeNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}

const EMPTY_LIST: readonly string[] = Object.freeze([]);

function claimsInvalid(detail: string): TokenRefusal {
  return Object.freeze({ reason: 'TOKEN_CLAIMS_INVALID', detail });
}

const IDENTIFIER_RULE = 'must be a string of 1 to 256 characters without control characters';
const DATE_RULE = 'must be a number of seconds, greater than 0 and less than 2^40';

const invalid = {
  sub: claimsInvalid(`sub ${IDENTIFIER_RULE}`),
  jti: claimsInvalid(`jti ${IDENTIFIER_RULE}`),
  sid: claimsInvalid(`sid ${IDENTIFIER_RULE}`),
  clientId: claimsInvalid(`client_id ${IDENTIFIER_RULE}`),
  externalId: claimsInvalid(`external_id ${IDENTIFIER_RULE}`),
  roles: claimsInvalid('roles must be a list of strings of 1 to 256 characters without control characters'),
  exp: claimsInvalid(`exp ${DATE_RULE}`),
  iat: claimsInvalid(`iat ${DATE_RULE}`),
  nbf: claimsInvalid(`nbf ${DATE_RULE}`),
  iss: claimsInvalid('iss is not the trusted issuer'),
  audType: claimsInvalid('aud must be a string or a list of strings'),
  aud: claimsInvalid('aud has no accepted audience'),
  requiredAudience: claimsInvalid('aud does not have the required audience'),
  lifetime: claimsInvalid('the time from iat to exp is longer than the maximum lifetime of a token'),
  userId: claimsInvalid('user_id must be a whole number or a string of 1 to 256 characters'),
  notLegacy: claimsInvalid('a token of the earlier login system must not have sub, iss or aud'),
} as const;

const expired: TokenRefusal = Object.freeze({
  reason: 'TOKEN_EXPIRED',
  detail: 'the token has expired',
});

const notYetValid = {
  nbf: Object.freeze({ reason: 'TOKEN_NOT_YET_VALID', detail: 'nbf is in the future' }),
  iat: Object.freeze({ reason: 'TOKEN_NOT_YET_VALID', detail: 'iat is in the future' }),
} as const;

const acceptableElsewhere: ReadonlySet<TokenRefusal> = new Set([
  expired,
  notYetValid.nbf,
  notYetValid.iat,
  invalid.aud,
  invalid.lifetime,
]);
