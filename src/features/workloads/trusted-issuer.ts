import { X509Certificate } from 'node:crypto';

import {
  type FieldRule,
  type FieldRules,
  oneOf,
  optional,
  text,
  wholeNumber,
} from '../../domain/validation.ts';
import type { FieldViolation } from '../../domain/rejection.ts';
import { unsafeUrlFault } from '../../net/safe-get.ts';
import { outsideAlgorithms, readOutsideKeySet } from '../../tokens/verify/outside-key.ts';
import { KeyRefused } from '../../tokens/verify/verification-key.ts';

export const issuerKinds = ['oidc', 'kubernetes', 'spiffe'] as const;
export type IssuerKind = (typeof issuerKinds)[number];

/** Where the keys of an issuer come from. Empty texts: not given. */
export interface IssuerKeySource {
  readonly from: 'discovery' | 'url' | 'static';
  readonly jwksUrl: string;
  readonly staticJwks: string;
  readonly caPem: string;
  /** The path of a file on each instance with a bearer token for the server of the keys. */
  readonly bearerFile: string;
}

/** An issuer whose tokens are exchanged. */
export interface TrustedIssuer {
  readonly id: string;
  /** The `iss` of its tokens, or `spiffe://` and a trust domain. */
  readonly issuer: string;
  readonly kind: IssuerKind;
  readonly keys: IssuerKeySource;
  readonly audience: string;
  readonly algorithms: readonly string[];
  readonly maxAgeSeconds: number;
  readonly acceptOnce: boolean;
  readonly disabled: boolean;
  readonly createdAt: Date;
}

export type NewTrustedIssuer = Omit<TrustedIssuer, 'id' | 'disabled' | 'createdAt'>;

export const MAX_AGE_SECONDS = 86_400;
export const DEFAULT_AGE_SECONDS = 3_600;
export const DEFAULT_ALGORITHMS: readonly string[] = ['RS256', 'ES256'];

const MAX_DOCUMENT_BYTES = 65_536;
/** Where platforms mount the tokens of a workload. Any other file of the instance is none of an administrator's. */
const BEARER_FILE =
  /^\/(?:var\/)?run\/secrets\/(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$/;
const TRUST_DOMAIN = /^spiffe:\/\/[a-z0-9._-]{1,245}$/;

const violation = (field: string, description: string): readonly FieldViolation[] => [{ field, description }];

const issuerText: FieldRule<string> = (value, field) => {
  const faults = text({ minBytes: 1, maxBytes: 256 })(value, field);
  if (faults.length > 0 || TRUST_DOMAIN.test(value)) return faults;
  // As it is written: the URL parser would drop spaces and an empty fragment, and tokens with such an `iss` do not exist.
  const isPlainUrl = /^https:\/\/[^\s?#]+$/.test(value) && unsafeUrlFault(value) === null;
  return isPlainUrl
    ? []
    : violation(field, 'must be an https URL without a query, or spiffe:// and a trust domain');
};

const algorithmNames: FieldRule<readonly string[]> = (values, field) => {
  const known = oneOf(Object.keys(outsideAlgorithms));
  const faults = values.flatMap((value, index) => known(value, `${field}[${index}]`));
  return values.length > 0 && values.length <= 8 ? faults : violation(field, 'must be 1 to 8 algorithms');
};

const httpsUrl: FieldRule<string> = (value, field) => {
  const faults = text({ minBytes: 1, maxBytes: 2_048 })(value, field);
  const fault = unsafeUrlFault(value);
  return faults.length > 0 || fault === null ? faults : violation(field, `must be ${fault}`);
};

const keySet: FieldRule<string> = (value, field) => {
  if (Buffer.byteLength(value) > MAX_DOCUMENT_BYTES)
    return violation(field, `must be at most ${MAX_DOCUMENT_BYTES} bytes long`);
  try {
    readOutsideKeySet(value);
    return [];
  } catch (error) {
    if (!(error instanceof KeyRefused)) throw error;
    return violation(field, error.message);
  }
};

/** Only certificates are kept of it: a private key that stands in the same file is refused. */
const certificates: FieldRule<string> = (value, field) => {
  if (Buffer.byteLength(value) > MAX_DOCUMENT_BYTES)
    return violation(field, `must be at most ${MAX_DOCUMENT_BYTES} bytes long`);
  const blocks = value.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? [];
  const isCertificate = (pem: string) => {
    try {
      new X509Certificate(pem);
      return pem.startsWith('-----BEGIN CERTIFICATE-----');
    } catch {
      return false;
    }
  };
  // PostgreSQL cannot hold NUL.
  return blocks.length > 0 && blocks.every(isCertificate) && !value.includes('\0')
    ? []
    : violation(field, 'must be certificates in PEM, and nothing else');
};

const bearerFile: FieldRule<string> = (value, field) =>
  BEARER_FILE.test(value) && value.length <= 256
    ? []
    : violation(field, 'must be the path of a token below /var/run/secrets/ or /run/secrets/');

/** The rules for a source of keys; `issuer` is that of the tokens. */
export function keySourceViolations(
  { from, jwksUrl, staticJwks, caPem, bearerFile: file }: IssuerKeySource,
  issuer: string,
): readonly FieldViolation[] {
  const fetched = from !== 'static';
  return [
    ...(from === 'url' ? httpsUrl(jwksUrl, 'keys.jwks_url') : []),
    ...(from === 'static' ? keySet(staticJwks, 'keys.static_jwks') : []),
    ...(from === 'discovery' && issuer.startsWith('spiffe:')
      ? violation('keys', 'must be jwks_url or static_jwks, since a trust domain has no discovery document')
      : []),
    ...(fetched
      ? [...optional(certificates)(caPem, 'keys.ca_pem'), ...optional(bearerFile)(file, 'keys.bearer_file')]
      : caPem + file === ''
        ? []
        : violation('keys', 'must have no ca_pem and no bearer_file with static_jwks, which is not fetched')),
  ];
}

const rules: FieldRules<Omit<NewTrustedIssuer, 'keys'>> = {
  issuer: issuerText,
  kind: oneOf(issuerKinds),
  audience: text({ minBytes: 1, maxBytes: 256 }),
  algorithms: algorithmNames,
  maxAgeSeconds: wholeNumber({ min: 1, max: MAX_AGE_SECONDS }),
  acceptOnce: () => [],
};
const fields = { issuer: 'issuer', kind: 'kind', audience: 'audience', algorithms: 'algorithms', maxAgeSeconds: 'max_age', acceptOnce: 'accept_once' } as const; // prettier-ignore

/**
 * What is wrong with an issuer to trust.
 *
 * @param ownIssuer POSTERN_ISSUER, whose tokens are exchanged by other rules
 */
export function issuerViolations(issuer: NewTrustedIssuer, ownIssuer: string): readonly FieldViolation[] {
  const names = Object.keys(fields) as (keyof typeof fields)[];
  const faults = names.flatMap((name) => (rules[name] as FieldRule<unknown>)(issuer[name], fields[name]));
  const isTrustDomain = issuer.issuer.startsWith('spiffe:');
  return [
    ...faults,
    ...(isTrustDomain === (issuer.kind === 'spiffe')
      ? []
      : violation('kind', 'must be SPIFFE for spiffe:// and a trust domain, and only for it')),
    ...(issuer.issuer === ownIssuer
      ? violation('issuer', 'must not be POSTERN_ISSUER, whose tokens need no trust')
      : []),
    ...keySourceViolations(issuer.keys, issuer.issuer),
  ];
}
