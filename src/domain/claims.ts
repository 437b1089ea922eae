import type { TokenRefusal } from './rejection.ts';

/** What a verified token says about its bearer. Frozen: one object may answer many callers. Seconds since the epoch. */
export interface VerifiedClaims {
  readonly subject: string;
  readonly subjectType: 'user' | 'service';
  readonly sessionId: string | null;
  readonly tokenId: string | null;
  readonly clientId: string | null;
  readonly issuer: string | null;
  readonly audience: readonly string[];
  readonly roles: readonly string[];
  readonly issuedAtSeconds: number | null;
  readonly expiresAtSeconds: number;
  readonly keyId: string | null;
}

/** What the claims are held against. */
export interface ClaimsPolicy {
  /** Compared whole, character by character (T14). */
  readonly issuer: string;
  /** The token must name one of these (T15). */
  readonly audiences: readonly string[];
  /** T18; does not bind tokens that other programs sign with the shared secret. */
  readonly maxLifetimeSeconds: number;
  /** How far two clocks may differ; 5 by default and never above 60 (T16). */
  readonly skewSeconds: number;
}

/**
 * Which rules hold: `access` is Postern's own token under a published key, `shared-secret` one that any program with the
 * HS256 secret may have signed, `legacy` one of the time before Postern.
 */
export type ClaimsProfile = 'access' | 'shared-secret' | 'legacy';

export type ClaimsVerdict =
  | { readonly ok: true; readonly claims: VerifiedClaims }
  | { readonly ok: false; readonly refusal: TokenRefusal };

export type UncheckedClaims = Readonly<Record<string, unknown>>;

export const DEFAULT_SKEW_SECONDS = 5;

/**
 * Judges the claims of a token whose signature is good (T12-T19): first that every claim has its type, then issuer,
 * audience and lifetime, then the times. Members that are not named here are ignored (RFC 7519 section 4), so that a
 * newer issuer may add some.
 *
 * @param nowSeconds seconds since the epoch, fractions allowed
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
 * Reads the claims of a token whose signature is good, also where the token is not accepted here and now: because of its
 * times, of an audience or a lifetime that another instance is configured with or, since nobody else has the private
 * key, of another issuer's name. For those who end a token, and who must not say that it has ended while a verifier with
 * other settings or another clock accepts it.
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

/** Everything that is wrong with the claims, the first fault first. `checkClaims` answers with that one. */
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

/** Refuses a token for an audience that the caller asked for by name. A token that names no audience has none. */
export function audienceFault(
  claims: VerifiedClaims,
  requiredAudience: string | undefined,
): TokenRefusal | null {
  if (requiredAudience === undefined || claims.audience.includes(requiredAudience)) return null;
  return invalid.requiredAudience;
}

/** Refuses a token whose time is over. Asked again each time a remembered token is seen (T24). */
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
  const { iss, sub, aud, exp, iat, jti, sid, client_id: clientId, roles } = claims;
  const mayBeAbsent = (value: unknown) => profile === 'shared-secret' && value === undefined;
  if (!isIdentifier(sub)) yield invalid.sub;
  if (!isNumericDate(exp)) yield invalid.exp;
  if (!isNumericDate(iat)) yield invalid.iat;
  if (!isIdentifier(jti) && !mayBeAbsent(jti)) yield invalid.jti;
  if (!isIdentifier(clientId) && !mayBeAbsent(clientId)) yield invalid.clientId;
  if (!isIdentifier(sid) && sid !== undefined) yield invalid.sid;
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
 * What the tutorial issued: `user_id` and `exp`. Its lifetime is bounded by the day on which the door closes, not here.
 * A token that also names a subject, an issuer or an audience came from elsewhere and is refused: whose it is would be
 * a guess.
 */
function* legacyFaults(claims: UncheckedClaims): Generator<TokenRefusal, void, undefined> {
  const { user_id: userId, exp, iat, sub, iss, aud } = claims;
  if (sub !== undefined || iss !== undefined || aud !== undefined) yield invalid.notLegacy;
  if (!isWholeNumber(userId) && !isIdentifier(userId)) yield invalid.userId;
  if (!isNumericDate(exp)) yield invalid.exp;
  if (iat !== undefined && !isNumericDate(iat)) yield invalid.iat;
}

/** The claims once `claimFaults` has found nothing; `user_id` stands in a legacy token only, `sub` in the others. */
interface CheckedClaims {
  readonly sub?: string;
  readonly user_id?: string | number;
  readonly aud?: string | readonly string[];
  readonly exp: number;
  readonly iat?: number;
  readonly jti?: string;
  readonly sid?: string;
  readonly client_id?: string;
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
    issuer: null,
    audience: NONE,
    roles: NONE,
  };
  if (profile === 'legacy') {
    const subject = String(claims.user_id);
    return { ...absentClaims, subject, subjectType: 'user', issuedAtSeconds, expiresAtSeconds, keyId };
  }
  const { sub, aud, jti, sid, client_id: clientId, roles } = claims;
  return {
    subject: String(sub),
    // A token with sid is a user's. A program that shares the secret may sign neither sid nor client_id: a user's too.
    subjectType: sid === undefined && clientId !== undefined ? 'service' : 'user',
    sessionId: sid ?? null,
    tokenId: jti ?? null,
    clientId: clientId ?? null,
    issuer: policy.issuer,
    audience: Object.freeze(typeof aud === 'string' ? [aud] : [...(aud ?? [])]),
    roles: Object.freeze([...(roles ?? [])]),
    issuedAtSeconds,
    expiresAtSeconds,
    keyId,
  };
}

/** From `exp + skew` on (T16). A fraction of `exp` is dropped, here as in what a verifier remembers. */
function hasExpired(exp: number, skewSeconds: number, nowSeconds: number): boolean {
  return nowSeconds >= Math.floor(exp) + skewSeconds;
}

/** A date of RFC 7519 section 2, within the years in which a token can have been made (T16). */
function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value < 2 ** 40;
}

/** An id that is safe to store, log and put into a header: 1 to 256 characters, no control characters, no lone surrogates (T19). */
function isIdentifier(value: unknown): value is string {
  return (
    typeof value === 'string' && value.length >= 1 && value.length <= 256 && !/[\p{Cc}\p{Cs}]/u.test(value)
  );
}

function isIdentifierList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isIdentifier);
}

/** A user number that is exact, so that two users never become one. -0 would be another spelling of 0. */
function isWholeNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}

const NONE: readonly string[] = Object.freeze([]);

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
