import { expired, invalid, legacyInvalid, missing, notYetValid } from './claim-refusals.ts';
import { type Actor, readActor } from './actor.ts';
import { isIdentifier, isIdentifierList, isNumericDate } from './claim-values.ts';
import {
  DEFAULT_LEGACY_POLICY,
  legacyFaults,
  type LegacyClaimsPolicy,
  legacySubject,
  tokenTypeFaults,
} from './legacy-claims.ts';
import type { TokenRefusal } from '../rejection.ts';

/** The claims of a verified token. Frozen, because the cache shares one object between calls. Times are Unix time in seconds. */
export interface VerifiedClaims {
  readonly subject: string;
  readonly subjectType: 'user' | 'service';
  readonly sessionId: string | null;
  readonly tokenId: string | null;
  readonly clientId: string | null;
  /** The user's id in another program. */
  readonly externalId: string | null;
  /** The name of the service account. */
  readonly subjectName: string | null;
  /** Who acts for the subject. */
  readonly actor: Actor | null;
  /** The level of the session; null where the token does not say it. */
  readonly acr: string | null;
  /** How the user proved who they are (RFC 8176). */
  readonly amr: readonly string[];
  /** When the user last did; null where the token does not say it. */
  readonly authenticatedAtSeconds: number | null;
  /** What was verified: for an API key, `tokenId` is its id. */
  readonly credentialKind: 'access-token' | 'api-key';
  readonly issuer: string | null;
  readonly audience: readonly string[];
  readonly roles: readonly string[];
  readonly issuedAtSeconds: number | null;
  /** Infinity for an API key that does not expire. */
  readonly expiresAtSeconds: number;
  /** Null for an API key, which no key has signed. */
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
  /** For tokens of an earlier login system; `DEFAULT_LEGACY_POLICY` when left out. */
  readonly legacy?: LegacyClaimsPolicy;
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
    claims: Object.freeze(readClaims(profile, claims as CheckedClaims & UncheckedClaims, policy, keyId)),
  };
}

/**
 * Reads the claims of a token whose signature is valid, even when this instance would refuse the token for its times, its
 * audience or its lifetime. Another issuer name is tolerated as well for `access` tokens, since only Postern has the
 * private key, and for legacy tokens, whose issuer is a setting. Used for revocation: a verifier with other settings or
 * another clock may still accept the token, so it must be revoked before it is reported as ended.
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
    claims: Object.freeze(readClaims(profile, claims as CheckedClaims & UncheckedClaims, policy, keyId)),
  };
}

/** All faults of the claims, in order of checking. `checkClaims` returns the first. */
export function* claimFaults(
  profile: ClaimsProfile,
  claims: UncheckedClaims,
  policy: ClaimsPolicy,
  nowSeconds: number,
): Generator<TokenRefusal, void, undefined> {
  if (profile === 'legacy') yield* legacyFaults(claims, policy.legacy ?? DEFAULT_LEGACY_POLICY);
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
  const {
    iss,
    sub,
    aud,
    exp,
    iat,
    jti,
    sid,
    client_id: clientId,
    external_id: externalId,
    name,
    act,
    roles,
    acr,
    amr,
    auth_time: authTime,
  } = claims;
  const mayBeAbsent = (value: unknown) => profile === 'shared-secret' && value === undefined;
  if (profile === 'shared-secret') yield* tokenTypeFaults(claims);
  if (!isIdentifier(sub)) yield sub === undefined ? missing.sub : invalid.sub;
  if (!isNumericDate(exp)) yield exp === undefined ? missing.exp : invalid.exp;
  if (!isNumericDate(iat)) yield iat === undefined ? missing.iat : invalid.iat;
  if (!isIdentifier(jti) && !mayBeAbsent(jti)) yield invalid.jti;
  if (!isIdentifier(clientId) && !mayBeAbsent(clientId)) yield invalid.clientId;
  if (!isIdentifier(sid) && sid !== undefined) yield invalid.sid;
  // What another program with the shared secret means by this name is its own affair.
  if (profile === 'access' && !isIdentifier(externalId) && externalId !== undefined) yield invalid.externalId;
  if (profile === 'access' && !isIdentifier(name) && name !== undefined) yield invalid.name;
  if (profile === 'access' && !isIdentifier(acr) && acr !== undefined) yield invalid.acr;
  if (profile === 'access' && !isIdentifierList(amr) && amr !== undefined) yield invalid.amr;
  if (profile === 'access' && !isNumericDate(authTime) && authTime !== undefined) yield invalid.authTime;
  // Unlike a name it decides, so another program must not mean something else by it.
  if (act !== undefined && readActor(act) === null) yield invalid.act;
  if (!isIdentifierList(roles) && !mayBeAbsent(roles)) yield invalid.roles;
  if (iss !== policy.issuer) yield invalid.iss;
  const audience = typeof aud === 'string' ? [aud] : aud;
  if (audience === undefined) yield missing.aud;
  else if (!isIdentifierList(audience)) yield invalid.audType;
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

/** Claims without faults. A legacy token may name its user elsewhere than in `sub`, and its `jti` may be a number. */
interface CheckedClaims {
  readonly sub?: string | number;
  readonly aud?: string | readonly string[];
  readonly exp: number;
  readonly iat?: number;
  readonly jti?: string | number;
  readonly sid?: string;
  readonly client_id?: string;
  /** Unchecked with the shared secret. */
  readonly external_id?: unknown;
  readonly name?: unknown;
  readonly act?: unknown;
  readonly acr?: unknown;
  readonly amr?: unknown;
  readonly auth_time?: unknown;
  readonly roles?: readonly string[];
}

function readClaims(
  profile: ClaimsProfile,
  claims: CheckedClaims & UncheckedClaims,
  policy: ClaimsPolicy,
  keyId: string | null,
): VerifiedClaims {
  const expiresAtSeconds = Math.floor(claims.exp);
  const issuedAtSeconds = claims.iat === undefined ? null : Math.floor(claims.iat);
  const tokenId = claims.jti === undefined ? null : String(claims.jti);
  const absentClaims = {
    sessionId: null,
    clientId: null,
    externalId: null,
    subjectName: null,
    actor: null,
    acr: null,
    amr: EMPTY_LIST,
    authenticatedAtSeconds: null,
    credentialKind: 'access-token',
    issuer: null,
    audience: EMPTY_LIST,
    roles: EMPTY_LIST,
  } as const;
  if (profile === 'legacy') {
    const subject = legacySubject(claims, policy.legacy ?? DEFAULT_LEGACY_POLICY);
    return {
      ...absentClaims,
      subject,
      subjectType: 'user',
      tokenId,
      issuedAtSeconds,
      expiresAtSeconds,
      keyId,
    };
  }
  const { sub, aud, sid, client_id: clientId, external_id: externalId, name, act, roles, acr, amr } = claims;
  const { auth_time: authTime } = claims;
  // A token with sid belongs to a user. A program that shares the secret may set neither sid nor client_id: also a user.
  const isService = sid === undefined && clientId !== undefined;
  return {
    subject: String(sub),
    subjectType: isService ? 'service' : 'user',
    sessionId: sid ?? null,
    tokenId,
    clientId: clientId ?? null,
    externalId: isIdentifier(externalId) ? externalId : null,
    // The users of a program that shares the secret may choose their own names, such as that of an account.
    subjectName: isService && isIdentifier(name) ? name : null,
    actor: act === undefined ? null : readActor(act),
    acr: isIdentifier(acr) ? acr : null,
    amr: isIdentifierList(amr) && amr.length > 0 ? Object.freeze([...amr]) : EMPTY_LIST,
    authenticatedAtSeconds: isNumericDate(authTime) ? Math.floor(authTime) : null,
    credentialKind: 'access-token',
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

const EMPTY_LIST: readonly string[] = Object.freeze([]);

const acceptableElsewhere: ReadonlySet<TokenRefusal> = new Set([
  expired,
  notYetValid.nbf,
  notYetValid.iat,
  invalid.aud,
  invalid.lifetime,
  legacyInvalid.issUnexpected,
  legacyInvalid.iss,
  legacyInvalid.audUnexpected,
  legacyInvalid.aud,
]);
