import {
  claimFaults,
  DEFAULT_SKEW_SECONDS,
  type ClaimsProfile,
  type UncheckedClaims,
} from '../../domain/claims.ts';
import type { TokenRefusal } from '../../domain/rejection.ts';
import type { Secret } from '../../domain/secret.ts';
import { MAX_TOKEN_BYTES, splitCompactJws } from './compact-jws.ts';
import { readClaimsSegment, readHeader, type TokenHeader } from './token-format.ts';
import { createKeyRing, type KeyRing } from './key-ring.ts';
import { refusals } from './token-refusals.ts';
import { ACCESS_TOKEN_TYPE, isLegacyToken, SHARED_SECRET_TYPE } from './select-key.ts';
import { importSharedSecret } from '../issue/shared-secret-key.ts';
import { isSigningAlgorithm } from '../signing-algorithm.ts';
import { importVerificationKey, KeyRefused, type VerificationKey } from './verification-key.ts';
import { signatureMatches, type SignatureKey } from './verify-signature.ts';

/** What a token is held against; what is not given is not checked. */
export interface InspectionOptions {
  /** A JWKS document, parsed. */
  readonly jwks?: unknown;
  readonly sharedSecret?: Secret;
  readonly issuer?: string;
  readonly audiences?: readonly string[];
  readonly maxLifetimeSeconds?: number;
  readonly nowMs: number;
}

/** Everything that can be said of a token without asking anyone. It shows what is in the token: for its holder's eyes. */
export interface TokenInspection {
  /** As far as they can be read, also where a verifier would not read on; null where they cannot. */
  readonly header: unknown;
  readonly claims: unknown;
  /** Every reason to refuse the token, in about the order in which a verifier would meet them. */
  readonly problems: readonly TokenRefusal[];
  readonly signature: SignatureFinding;
  /** What the text seems to be where it is no access token, and what is wrong with the keys that were given. */
  readonly notes: readonly string[];
}

interface SignatureFinding {
  readonly verdict: 'valid' | 'invalid' | 'not checked';
  readonly why: string;
}

interface ProvidedKeys {
  readonly ring: KeyRing | null;
  readonly secret: SignatureKey | null;
}

/** Explains a token. Whether it is revoked, only a service can tell. Never throws for a bad token, key or secret. */
export async function inspectToken(text: string, options: InspectionOptions): Promise<TokenInspection> {
  const notes = kindNotes(text);
  if (text.length > MAX_TOKEN_BYTES) {
    const signature = notChecked('the text is too long to be parsed');
    return { header: null, claims: null, problems: [refusals.tooLarge], signature, notes };
  }
  const [headerSegment = '', claimsSegment = ''] = text.trim().split('.');
  const form = splitCompactJws(text);
  const strictHeader = readHeader(headerSegment);
  const strictClaims = readClaimsSegment(claimsSegment);
  const header = decodeLeniently(headerSegment);
  const claims = decodeLeniently(claimsSegment);
  const keys = await readKeys(options, notes);
  const names = headerStrings(header);
  const isLegacy = isObject(claims) && isLegacyToken(names, claims) && claims.user_id !== undefined;
  const profile = isLegacy ? 'legacy' : names.alg === 'HS256' ? 'shared-secret' : 'access';
  const signature = form.ok
    ? await evaluateSignature(text, form.signature, names, keys)
    : notChecked('the text is not a compact JWS');
  const problems = [
    ...[form, strictHeader, strictClaims].flatMap((read) => (read.ok ? [] : [read.refusal])),
    ...(isObject(header) ? headerProblems(names, isLegacy, keys) : []),
    ...(signature.verdict === 'invalid' ? [refusals.signatureInvalid] : []),
    ...(isObject(claims) ? claimProblems(profile, claims, options) : []),
  ];
  return { header, claims, problems, signature, notes };
}

function kindNotes(text: string): string[] {
  const notes: string[] = [];
  if (text !== text.trim()) notes.push('there is white space around the token; verifiers refuse it');
  const trimmed = text.trim();
  if (/^bearer /i.test(trimmed))
    notes.push('this is an authorization header; the token begins after "Bearer "');
  if (trimmed.startsWith('prt_'))
    notes.push('this is a refresh token; only RefreshToken and RevokeToken accept it');
  if (trimmed.startsWith('{')) notes.push('this is JSON; only the compact serialisation is accepted');
  if (trimmed.split('.').length === 5)
    notes.push('this is an encrypted token (JWE); only signed ones are accepted');
  return notes;
}

async function readKeys(options: InspectionOptions, notes: string[]): Promise<ProvidedKeys> {
  const ifUsable = async <Key>(subject: string, read: () => Key | Promise<Key>): Promise<Key | null> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof KeyRefused)) throw error;
      notes.push(`${subject}: ${error.message}`);
      return null;
    }
  };
  const sharedSecret = options.sharedSecret;
  const secret =
    sharedSecret === undefined
      ? null
      : await ifUsable('the shared secret', () => importSharedSecret(sharedSecret));
  if (options.jwks === undefined) return { ring: null, secret };
  const listed =
    isObject(options.jwks) && Array.isArray(options.jwks.keys) ? (options.jwks.keys as unknown[]) : null;
  if (listed === null) notes.push('the key set is not a JWKS document');
  if (listed?.length === 0)
    notes.push('the key set holds no keys: the service has none yet, or signs with a shared secret');
  const byKid = new Map<string, VerificationKey>();
  for (const [index, jwk] of (listed ?? []).entries()) {
    const key = await ifUsable(`key ${index + 1} of the set is ignored`, () => importVerificationKey(jwk));
    if (key !== null) byKid.set(key.kid, key);
  }
  return { ring: createKeyRing([...byKid.values()]), secret };
}

function headerProblems(
  { alg, kid, typ }: TokenHeader,
  isLegacy: boolean,
  { ring, secret }: ProvidedKeys,
): TokenRefusal[] {
  const isHmac = alg === 'HS256';
  const type = isHmac ? SHARED_SECRET_TYPE : ACCESS_TOKEN_TYPE;
  const key = ring === null || kid === undefined ? null : (ring.find(kid) ?? 'unknown');
  // A verifier has a key set or a shared secret, so the one that was given says what the other kind of token meets.
  const isOtherKind = isHmac ? ring !== null && secret === null : secret !== null && ring === null;
  return [
    (isOtherKind || (!isHmac && !isSigningAlgorithm(alg))) && refusals.algNotAllowed,
    isHmac ? kid !== undefined && refusals.kidWithSharedSecret : kid === undefined && refusals.kidMissing,
    !isHmac && key === 'unknown' && refusals.keyUnknown,
    key !== null && key !== 'unknown' && key.algorithm !== alg && refusals.algOfOtherKey,
    !isLegacy && !type.test(typ ?? '') && refusals.typeInvalid,
  ].filter((problem) => problem !== false);
}

async function evaluateSignature(
  token: string,
  signature: string,
  { alg, kid }: TokenHeader,
  { ring, secret }: ProvidedKeys,
): Promise<SignatureFinding> {
  let key: SignatureKey | undefined;
  if (alg === 'HS256') {
    if (secret === null) return notChecked('no usable shared secret was given');
    key = secret;
  } else {
    if (ring === null) return notChecked('no key set was given');
    key = kid === undefined ? undefined : ring.find(kid);
    if (key === undefined) return notChecked('the key set has no usable key with this kid');
    if (key.algorithm !== alg) return notChecked('the key with this kid has another algorithm');
  }
  const bytes = Buffer.byteLength(signature, 'base64url');
  return (await signatureMatches(token, key))
    ? { verdict: 'valid', why: 'it is the signature of the key over this header and these claims' }
    : {
        verdict: 'invalid',
        why: `its ${bytes} bytes are not the signature of the key over this header and these claims`,
      };
}

function claimProblems(
  profile: ClaimsProfile,
  claims: UncheckedClaims,
  options: InspectionOptions,
): TokenRefusal[] {
  const { iss, aud } = claims;
  const policy = {
    issuer: options.issuer ?? (typeof iss === 'string' ? iss : ''),
    audiences: options.audiences ?? [aud].flat().filter((name) => typeof name === 'string'),
    maxLifetimeSeconds: options.maxLifetimeSeconds ?? Infinity,
    skewSeconds: DEFAULT_SKEW_SECONDS,
  };
  return [...claimFaults(profile, claims, policy, options.nowMs / 1000)];
}

/** What a segment holds for a reader who forgives everything. */
function decodeLeniently(segment: string): unknown {
  try {
    return JSON.parse(Buffer.from(segment, 'base64url').toString('utf8')) as unknown;
  } catch {
    return null;
  }
}

function headerStrings(header: unknown): TokenHeader {
  const { alg, kid, typ } = isObject(header) ? header : {};
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
  return { alg: text(alg) ?? '', kid: text(kid), typ: text(typ) };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function notChecked(why: string): SignatureFinding {
  return { verdict: 'not checked', why };
}
