import { expired, missing, notYetValid } from '../../domain/claims/claim-refusals.ts';
import { isIdentifierList, isNumericDate } from '../../domain/claims/claim-values.ts';
import type { TokenRefusal, TokenRefusalReason } from '../../domain/rejection.ts';
import { splitCompactJws } from './compact-jws.ts';
import { isOutsideAlgorithm, type OutsideAlgorithm, type OutsideKey, rowOf } from './outside-key.ts';
import type { JsonObject } from './strict-json.ts';
import { readClaimsSegment, readObject } from './token-format.ts';
import { refusals } from './token-refusals.ts';
import { publicKeyMatches } from './verify-signature.ts';

/** A well-formed token of another issuer. Do not trust its contents: the signature has not been checked. */
export interface UnverifiedOutsideToken {
  readonly ok: true;
  readonly alg: string;
  readonly kid: string | null;
  readonly claims: JsonObject;
  /** What the signature covers. */
  readonly signed: string;
  readonly signature: Buffer;
}

/** What tokens of one issuer must fulfil. */
export interface OutsideTokenRules {
  /** Whether it is a SPIFFE trust domain: `iss` and `iat` may be absent, and `sub` is a SPIFFE ID. */
  readonly isSpiffe: boolean;
  /** What `aud` must contain. */
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** Seconds since `iat`. */
  readonly maxAgeSeconds: number;
}

type Refused = { readonly ok: false; readonly refusal: TokenRefusal };

/** Tokens of CI systems and clusters are longer than Postern's own: they list what a job is. */
export const MAX_OUTSIDE_TOKEN_BYTES = 16_384;
/** The clocks of other issuers are not the operator's. */
export const OUTSIDE_SKEW_SECONDS = 60;
const MAX_LIFETIME_SECONDS = 86_400;
const MAX_SUBJECT_LENGTH = 1_024;
const HEADER_TYPE = /^(?:application\/)?(?:jwt|jose|at\+jwt)$/i;
/** Ignored, since nothing is trusted but the key set. All other members change what a token means, or name a key. */
const IGNORED_MEMBERS: readonly string[] = ['x5t', 'x5t#S256', 'cty'];

const refusal = (reason: TokenRefusalReason, detail: string): TokenRefusal =>
  Object.freeze({ reason, detail });

/** Refusals of tokens of other issuers beside those of `token-refusals.ts` and `claim-refusals.ts`. */
export const outsideRefusals = {
  headerMembers: refusal(
    'TOKEN_MALFORMED',
    'the header has a member other than alg, kid, typ, cty, x5t and x5t#S256',
  ),
  type: refusal('TOKEN_TYPE_INVALID', 'typ must be JWT, JOSE, at+jwt or absent'),
  algNotAllowed: refusal('TOKEN_ALG_NOT_ALLOWED', 'alg is not one that is accepted from this issuer'),
  keyUnknown: refusal('TOKEN_KEY_UNKNOWN', 'the issuer has no key, or no single one, with this kid and alg'),
  subject: refusal(
    'TOKEN_CLAIMS_INVALID',
    'sub must be a string of 1 to 1024 characters without control characters',
  ),
  trustDomain: refusal('TOKEN_CLAIMS_INVALID', 'sub must be a SPIFFE ID of the trust domain'),
  issuedAt: refusal('TOKEN_CLAIMS_INVALID', 'iat must be a number of seconds'),
  times: refusal('TOKEN_CLAIMS_INVALID', 'exp and nbf must be numbers of seconds'),
  audience: refusal(
    'TOKEN_CLAIMS_INVALID',
    'aud does not contain the audience of the trusted issuer; request the token for it',
  ),
  lifetime: refusal('TOKEN_CLAIMS_INVALID', 'exp must be after iat, by at most a day'),
  age: refusal('TOKEN_EXPIRED', 'the token is older than the issuer may be trusted with; get a new one'),
} as const;

/**
 * Checks the format of a token of another issuer, as `checkFormat` does for those of Postern: a canonical compact JWS of at
 * most 16 KiB, strict JSON without duplicate members, and a header that can neither bring its own key (`jwk`, `jku`, `x5u`,
 * `x5c`) nor change the rules (`crit`, `b64`, `zip`, `enc`).
 */
export function readOutsideToken(token: string): UnverifiedOutsideToken | Refused {
  const form = splitCompactJws(token, MAX_OUTSIDE_TOKEN_BYTES);
  if (!form.ok) return form;
  const members = readObject(form.header);
  if (members === undefined) return refuse(refusals.headerNotUtf8);
  if (members === null) return refuse(refusals.headerNotJson);
  const { alg, kid, typ, ...others } = members;
  if (!Object.keys(others).every((name) => IGNORED_MEMBERS.includes(name)))
    return refuse(outsideRefusals.headerMembers);
  const isTextOrAbsent = (value: unknown) => value === undefined || typeof value === 'string';
  if (typeof alg !== 'string' || !isTextOrAbsent(kid) || !isTextOrAbsent(typ))
    return refuse(refusals.headerTypes);
  if (typeof kid === 'string' && (kid.length < 1 || kid.length > 128)) return refuse(refusals.kidLength);
  if (typeof typ === 'string' && !HEADER_TYPE.test(typ)) return refuse(outsideRefusals.type);
  const claims = readClaimsSegment(form.payload);
  if (!claims.ok) return claims;
  return {
    ok: true,
    alg,
    kid: typeof kid === 'string' ? kid : null,
    claims: claims.claims,
    signed: `${form.header}.${form.payload}`,
    signature: Buffer.from(form.signature, 'base64url'),
  };
}

/** The algorithm of a token, if it is one that is accepted from its issuer: no key is looked for with another. */
export function acceptedAlgorithm(
  { alg }: Pick<UnverifiedOutsideToken, 'alg'>,
  { algorithms }: Pick<OutsideTokenRules, 'algorithms'>,
): OutsideAlgorithm | null {
  return algorithms.includes(alg) && isOutsideAlgorithm(alg) ? alg : null;
}

/**
 * The only key that may have signed a token, among those of its issuer: keys are never tried in turn (T05). A token without
 * `kid` needs an issuer with one key of its algorithm.
 */
export function selectOutsideKey(
  keys: readonly OutsideKey[],
  { kid }: Pick<UnverifiedOutsideToken, 'kid'>,
  algorithm: OutsideAlgorithm,
): OutsideKey | null {
  const fitting = keys.filter(
    (key) => (kid === null || key.kid === kid) && key.algorithms.includes(algorithm),
  );
  const [only] = fitting;
  return fitting.length === 1 && only !== undefined ? only : null;
}

/** Checks the signature, its length first. */
export async function outsideSignatureMatches(
  { signed, signature }: Pick<UnverifiedOutsideToken, 'signed' | 'signature'>,
  { key, modulusBytes }: OutsideKey,
  algorithm: OutsideAlgorithm,
): Promise<boolean> {
  const { digest, signatureBytes, options } = rowOf(algorithm);
  if (signature.length !== (signatureBytes ?? modulusBytes)) return false;
  const input = { signed: Buffer.from(signed, 'latin1'), signature, digest, key };
  return publicKeyMatches({ ...input, ...(options && { options }) });
}

/** What is wrong with the claims of a token whose signature is valid, or null. `trustDomain` is `spiffe://` and its name. */
export function outsideClaimFault(
  claims: JsonObject,
  rules: OutsideTokenRules & { readonly trustDomain: string | null },
  nowSeconds: number,
): TokenRefusal | null {
  const { sub, aud, exp, iat, nbf } = claims;
  if (sub === undefined) return missing.sub;
  if (!isSubject(sub)) return outsideRefusals.subject;
  if (rules.trustDomain !== null && trustDomainOf(sub) !== rules.trustDomain)
    return outsideRefusals.trustDomain;
  const audiences: unknown = Array.isArray(aud) ? aud : [aud];
  if (!isIdentifierList(audiences) || !audiences.includes(rules.audience)) return outsideRefusals.audience;
  if (exp === undefined) return missing.exp;
  if (!isNumericDate(exp) || (nbf !== undefined && !isNumericDate(nbf))) return outsideRefusals.times;
  if (iat === undefined && !rules.isSpiffe) return missing.iat;
  if (iat !== undefined && !isNumericDate(iat)) return outsideRefusals.issuedAt;
  if (nowSeconds >= Math.floor(exp) + OUTSIDE_SKEW_SECONDS) return expired;
  if (nbf !== undefined && nbf > nowSeconds + OUTSIDE_SKEW_SECONDS) return notYetValid.nbf;
  if (iat === undefined) {
    // Without iat, its age is unknown, so what it has left must be as short.
    return exp > nowSeconds + rules.maxAgeSeconds + OUTSIDE_SKEW_SECONDS ? outsideRefusals.lifetime : null;
  }
  if (iat > nowSeconds + OUTSIDE_SKEW_SECONDS) return notYetValid.iat;
  if (exp <= iat || exp - iat > MAX_LIFETIME_SECONDS) return outsideRefusals.lifetime;
  return nowSeconds - iat > rules.maxAgeSeconds + OUTSIDE_SKEW_SECONDS ? outsideRefusals.age : null;
}

/** A SPIFFE ID (SPIFFE-ID section 2): a trust domain, and a path without empty or dot segments. */
const SPIFFE_ID = /^(spiffe:\/\/[a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._-]+)+)$/;

/** The trust domain of a SPIFFE ID, with `spiffe://`; null for any other text. */
export function trustDomainOf(text: unknown): string | null {
  if (typeof text !== 'string' || text.length > 2_048) return null;
  const [, domain = null, path = ''] = SPIFFE_ID.exec(text) ?? [];
  return path.split('/').some((segment) => segment === '.' || segment === '..') ? null : domain;
}

function isSubject(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length >= 1 &&
    value.length <= MAX_SUBJECT_LENGTH &&
    !/[\p{Cc}\p{Cs}]/u.test(value)
  );
}

function refuse(why: TokenRefusal): Refused {
  return { ok: false, refusal: why };
}
