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

export const defaultSkewSeconds = 5;

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
  const read =
    profile === 'legacy' ? readLegacyClaims(claims) : readStandardClaims(profile, claims, policy, keyId);
  if (!read.ok) return read;
  const refusal = timeFault(read.claims, claims.nbf, policy.skewSeconds, nowSeconds);
  return refusal === null ? read : { ok: false, refusal };
}

/** Refuses a token for an audience that the caller asked for by name. A token that names no audience has none. */
export function audienceFault(
  claims: VerifiedClaims,
  requiredAudience: string | undefined,
): TokenRefusal | null {
  if (requiredAudience === undefined || claims.audience.includes(requiredAudience)) return null;
  return invalid.requiredAudience;
}

/** Refuses a token whose time is over: from `exp + skew` on (T16). Asked again each time a remembered token is seen. */
export function expiryFault(
  claims: VerifiedClaims,
  skewSeconds: number,
  nowSeconds: number,
): TokenRefusal | null {
  return nowSeconds >= claims.expiresAtSeconds + skewSeconds ? expired : null;
}

function readStandardClaims(
  profile: 'access' | 'shared-secret',
  claims: UncheckedClaims,
  policy: ClaimsPolicy,
  keyId: string | null,
): ClaimsVerdict {
  const { iss, sub, aud, exp, iat, jti, sid, client_id: clientId, roles } = claims;
  const lenient = profile === 'shared-secret';
  if (!isIdentifier(sub)) return refuse(invalid.sub);
  if (!isNumericDate(exp)) return refuse(invalid.exp);
  if (!isNumericDate(iat)) return refuse(invalid.iat);
  if (!isIdentifier(jti) && !(lenient && jti === undefined)) return refuse(invalid.jti);
  if (!isIdentifier(clientId) && !(lenient && clientId === undefined)) return refuse(invalid.clientId);
  if (!isIdentifier(sid) && sid !== undefined) return refuse(invalid.sid);
  if (!isIdentifierList(roles) && !(lenient && roles === undefined)) return refuse(invalid.roles);
  if (iss !== policy.issuer) return refuse(invalid.iss);
  const audience = typeof aud === 'string' ? [aud] : aud;
  if (!isIdentifierList(audience)) return refuse(invalid.audType);
  if (!policy.audiences.some((accepted) => audience.includes(accepted))) return refuse(invalid.aud);
  if (!lenient && exp - iat > policy.maxLifetimeSeconds) return refuse(invalid.lifetime);
  return accept({
    subject: sub,
    // A token with sid is a user's. A program that shares the secret may sign neither sid nor client_id: a user's too.
    subjectType: sid === undefined && clientId !== undefined ? 'service' : 'user',
    sessionId: sid ?? null,
    tokenId: jti ?? null,
    clientId: clientId ?? null,
    issuer: policy.issuer,
    audience: Object.freeze([...audience]),
    roles: Object.freeze([...(roles ?? [])]),
    issuedAtSeconds: Math.floor(iat),
    expiresAtSeconds: Math.floor(exp),
    keyId,
  });
}

/**
 * What the tutorial issued: `user_id` and `exp`. Its lifetime is bounded by the day on which the door closes, not here.
 * A token that also names a subject, an issuer or an audience came from elsewhere and is refused: whose it is would be
 * a guess.
 */
function readLegacyClaims(claims: UncheckedClaims): ClaimsVerdict {
  const { user_id: userId, exp, iat, sub, iss, aud } = claims;
  if (sub !== undefined || iss !== undefined || aud !== undefined) return refuse(invalid.notLegacy);
  const isNumber = typeof userId === 'number' && Number.isSafeInteger(userId) && !Object.is(userId, -0);
  if (!isNumber && !isIdentifier(userId)) return refuse(invalid.userId);
  if (!isNumericDate(exp)) return refuse(invalid.exp);
  if (iat !== undefined && !isNumericDate(iat)) return refuse(invalid.iat);
  return accept({
    subject: String(userId),
    subjectType: 'user',
    sessionId: null,
    tokenId: null,
    clientId: null,
    issuer: null,
    audience: Object.freeze([]),
    roles: Object.freeze([]),
    issuedAtSeconds: iat === undefined ? null : Math.floor(iat),
    expiresAtSeconds: Math.floor(exp),
    keyId: null,
  });
}

function timeFault(
  read: VerifiedClaims,
  nbf: unknown,
  skewSeconds: number,
  nowSeconds: number,
): TokenRefusal | null {
  if (nbf !== undefined && !isNumericDate(nbf)) return invalid.nbf;
  const fault = expiryFault(read, skewSeconds, nowSeconds);
  if (fault !== null) return fault;
  if ((nbf ?? 0) > nowSeconds + skewSeconds) return notYetValid.nbf;
  if ((read.issuedAtSeconds ?? 0) > nowSeconds + skewSeconds) return notYetValid.iat;
  return null;
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

function accept(claims: VerifiedClaims): ClaimsVerdict {
  return { ok: true, claims: Object.freeze(claims) };
}

function refuse(refusal: TokenRefusal): ClaimsVerdict {
  return { ok: false, refusal };
}

function claimsInvalid(detail: string): TokenRefusal {
  return Object.freeze({ reason: 'TOKEN_CLAIMS_INVALID', detail });
}

const identifierRule = 'must be a string of 1 to 256 characters without control characters';
const dateRule = 'must be a number of seconds above 0 and below 2^40';

const invalid = {
  sub: claimsInvalid(`sub ${identifierRule}`),
  jti: claimsInvalid(`jti ${identifierRule}`),
  sid: claimsInvalid(`sid ${identifierRule}`),
  clientId: claimsInvalid(`client_id ${identifierRule}`),
  roles: claimsInvalid('roles must be a list of strings of 1 to 256 characters without control characters'),
  exp: claimsInvalid(`exp ${dateRule}`),
  iat: claimsInvalid(`iat ${dateRule}`),
  nbf: claimsInvalid(`nbf ${dateRule}`),
  iss: claimsInvalid('iss is not the issuer that is trusted here'),
  audType: claimsInvalid('aud must be a string or a list of strings'),
  aud: claimsInvalid('aud names no audience that is accepted here'),
  requiredAudience: claimsInvalid('aud does not name the audience that the caller requires'),
  lifetime: claimsInvalid('the time from iat to exp is longer than a token may live'),
  userId: claimsInvalid('user_id must be a whole number or a string of 1 to 256 characters'),
  notLegacy: claimsInvalid('a token of the earlier login names no sub, iss or aud'),
} as const;

const expired: TokenRefusal = Object.freeze({
  reason: 'TOKEN_EXPIRED',
  detail: 'the time of the token is over',
});

const notYetValid = {
  nbf: Object.freeze({ reason: 'TOKEN_NOT_YET_VALID', detail: 'nbf is in the future' }),
  iat: Object.freeze({ reason: 'TOKEN_NOT_YET_VALID', detail: 'iat is in the future' }),
} as const;
