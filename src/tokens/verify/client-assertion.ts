import { isNumericDate, isIdentifier } from '../../domain/claims/claim-values.ts';
import type { TokenRefusal, TokenRefusalReason } from '../../domain/rejection.ts';
import { isUuid } from '../../domain/validation.ts';
import type { VerificationKey } from './verification-key.ts';
import { signatureMatches } from './verify-signature.ts';
import { checkFormat, type TokenHeader } from './token-format.ts';

/** A client assertion (RFC 7523 section 3) whose claims are acceptable. Its signature has not been checked. */
export interface UnverifiedAssertion {
  readonly ok: true;
  readonly text: string;
  readonly header: TokenHeader;
  readonly signatureBytes: number;
  /** The service account that it speaks for, a UUID. */
  readonly accountId: string;
  readonly tokenId: string;
  /** Unix time, rounded up. */
  readonly expiresAtSeconds: number;
}

const MAX_LIFETIME_SECONDS = 300;
/** How far the clock of a client may be ahead or behind. An assertion is made anew for each call, so it can be generous. */
export const ASSERTION_SKEW_SECONDS = 30;

/** `JWT`, or the explicit type of draft-ietf-oauth-rfc7523bis. An access token must not pass for an assertion. */
const ASSERTION_TYPE = /^(?:application\/)?(?:client-authentication\+)?jwt$/i;

const refusal = (reason: TokenRefusalReason, detail: string): TokenRefusal =>
  Object.freeze({ reason, detail });

const refusals = {
  type: refusal('TOKEN_TYPE_INVALID', 'typ of an assertion must be JWT, client-authentication+jwt or absent'),
  subject: refusal('TOKEN_CLAIMS_INVALID', 'iss and sub of an assertion must both be the client id'),
  audience: refusal(
    'TOKEN_CLAIMS_INVALID',
    'aud of an assertion must be one string, exactly the issuer (POSTERN_ISSUER), not a list and not the URL of an endpoint',
  ),
  times: refusal(
    'TOKEN_CLAIMS_INVALID',
    'iat and exp of an assertion must be numbers, and nbf too if present',
  ),
  lifetime: refusal('TOKEN_CLAIMS_INVALID', 'exp of an assertion must be after iat, by at most 5 minutes'),
  tokenId: refusal(
    'TOKEN_CLAIMS_INVALID',
    'jti of an assertion must have 1 to 256 characters, without control characters',
  ),
  expired: refusal(
    'TOKEN_EXPIRED',
    'the assertion has expired; make a new one for each call, and check the clock',
  ),
  notYet: refusal('TOKEN_NOT_YET_VALID', 'iat or nbf of the assertion is in the future; check the clock'),
} as const;

/**
 * Reads a client assertion and checks everything that needs neither the database nor a key, so that junk costs neither.
 * What it says of the assertion, its sender knows already.
 *
 * `aud` must be one string, exactly the issuer. A list, or the URL of an endpoint, would let another authorization server
 * that a client also uses forward its assertion to this one (CVE-2025-27370, CVE-2025-27371).
 *
 * @param expected.clientId the id that the request names; empty when it names none
 */
export function readClientAssertion(
  text: string,
  expected: { readonly issuer: string; readonly clientId: string },
  nowSeconds: number,
): UnverifiedAssertion | { readonly ok: false; readonly refusal: TokenRefusal } {
  const token = checkFormat(text);
  if (!token.ok) return token;
  const { header, signatureBytes } = token;
  const { iss, sub, aud, exp, iat, nbf, jti } = token.claims;
  const refuse = (why: TokenRefusal) => ({ ok: false, refusal: why }) as const;
  if (header.typ !== undefined && !ASSERTION_TYPE.test(header.typ)) return refuse(refusals.type);
  if (typeof iss !== 'string' || iss !== sub || !isUuid(iss)) return refuse(refusals.subject);
  if (expected.clientId !== '' && expected.clientId !== iss) return refuse(refusals.subject);
  if (aud !== expected.issuer) return refuse(refusals.audience);
  if (!isNumericDate(iat) || !isNumericDate(exp) || (nbf !== undefined && !isNumericDate(nbf)))
    return refuse(refusals.times);
  if (exp <= iat || exp - iat > MAX_LIFETIME_SECONDS) return refuse(refusals.lifetime);
  if (!isIdentifier(jti)) return refuse(refusals.tokenId);
  if (nowSeconds >= exp + ASSERTION_SKEW_SECONDS) return refuse(refusals.expired);
  if (Math.max(iat, nbf ?? 0) > nowSeconds + ASSERTION_SKEW_SECONDS) return refuse(refusals.notYet);
  return {
    ok: true,
    text,
    header,
    signatureBytes,
    accountId: iss,
    tokenId: jti,
    expiresAtSeconds: Math.ceil(exp),
  };
}

/** Whether the key has signed the assertion. The algorithm is the key's; the header must name the same one. */
export async function assertionMatches(
  { text, header, signatureBytes }: UnverifiedAssertion,
  key: VerificationKey,
): Promise<boolean> {
  return header.alg === key.algorithm && signatureBytes === key.signatureBytes && signatureMatches(text, key);
}

/** The refusal of an assertion whose `jti` was used before. */
export const assertionReplayed: TokenRefusal = refusal(
  'TOKEN_REPLAYED',
  'the assertion was used before; make a new one, with another jti, for each call',
);
