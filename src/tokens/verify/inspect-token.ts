import { actorsOf, readActor } from '../../domain/claims/actor.ts';
import {
  claimFaults,
  DEFAULT_SKEW_SECONDS,
  type ClaimsProfile,
  type UncheckedClaims,
} from '../../domain/claims/claims.ts';
import { DEFAULT_LEGACY_POLICY } from '../../domain/claims/legacy-claims.ts';
import type { TokenRefusal } from '../../domain/rejection.ts';
import type { Secret } from '../../domain/secret.ts';
import { MAX_TOKEN_BYTES, splitCompactJws } from './compact-jws.ts';
import { readClaimsSegment, readHeader, type TokenHeader } from './token-format.ts';
import { createKeyRing, type KeyRing } from './key-ring.ts';
import { refusals } from './token-refusals.ts';
import { ACCESS_TOKEN_TYPE, legacyHeaderFault, SHARED_SECRET_TYPE } from './select-key.ts';
import { importSharedSecret } from '../issue/shared-secret-key.ts';
import { isSigningAlgorithm } from '../signing-algorithm.ts';
import { importVerificationKey, KeyRefused, type VerificationKey } from './verification-key.ts';
import { signatureMatches, type SignatureKey } from './verify-signature.ts';

/** What to check a token against. An absent option is not checked. */
export interface InspectionOptions {
  /** A parsed JWKS document. */
  readonly jwks?: unknown;
  readonly sharedSecret?: Secret;
  readonly issuer?: string;
  readonly audiences?: readonly string[];
  readonly maxLifetimeSeconds?: number;
  /**
   * Whether the token is one of an earlier login system. When left out, only an HS256 token with `user_id` and without
   * `sub`, `iss` and `aud` is judged as such.
   */
  readonly legacy?: boolean;
  /** The claims that can name the user of such a token. */
  readonly subjectClaims?: readonly string[];
  /** Unix time, ms. */
  readonly nowMs: number;
}

/** The result of an offline inspection. It contains the claims of the token, so show it only to the token's holder. */
export interface TokenInspection {
  /** Decoded leniently, also where a verifier would refuse it; null when it cannot be decoded. */
  readonly header: unknown;
  /** Decoded like `header`. */
  readonly claims: unknown;
  /** Every reason to refuse the token, roughly in the order of a verifier's checks. */
  readonly problems: readonly TokenRefusal[];
  readonly signature: SignatureFinding;
  /** What the text looks like if it is not an access token, and what is wrong with the given keys. */
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

/**
 * Explains a token without a service, so revocation is not checked. Never throws for an invalid token, key or shared
 * secret.
 */
export async function inspectToken(text: string, options: InspectionOptions): Promise<TokenInspection> {
  const notes = notesOnText(text);
  if (text.length > MAX_TOKEN_BYTES) {
    const signature = notChecked('the text is too long to be parsed');
    return { header: null, claims: null, problems: [refusals.tooLarge], signature, notes };
  }
  const [headerSegment = '', claimsSegment = ''] = text.trim().split('.');
  const jws = splitCompactJws(text);
  const strictHeader = readHeader(headerSegment);
  const strictClaims = readClaimsSegment(claimsSegment);
  const header = decodeLeniently(headerSegment);
  const claims = decodeLeniently(claimsSegment);
  const keys = await readKeys(options, notes);
  const headerFields = headerStrings(header);
  const profile = profileOf(headerFields, claims, options.legacy);
  notes.push(...notesOnProfile(headerFields, profile), ...notesOnActors(claims));
  const signature = jws.ok
    ? await evaluateSignature(text, jws.signature, headerFields, keys)
    : notChecked('the text is not a compact JWS');
  // Of a text that is no token at all the first refusal says everything.
  const isNoToken = !jws.ok && !isObject(header) && !isObject(claims);
  const unread = isNoToken ? [jws] : [jws, strictHeader, strictClaims];
  const problems = [
    ...unread.flatMap((result) => (result.ok ? [] : [result.refusal])),
    ...(isObject(header) ? headerProblems(headerFields, profile, keys) : []),
    ...(signature.verdict === 'invalid' ? [refusals.signatureInvalid] : []),
    ...(isObject(claims) ? claimProblems(profile, claims, options) : []),
  ];
  return { header, claims, problems, signature, notes };
}

function profileOf({ alg }: TokenHeader, claims: unknown, legacy: boolean | undefined): ClaimsProfile {
  // A token of HS256 mode has sub, iss and aud. One with user_id instead can only be of an earlier login.
  const { user_id: userId, sub, iss, aud } = isObject(claims) ? claims : {};
  const isOther = userId !== undefined && sub === undefined && iss === undefined && aud === undefined;
  if (legacy ?? (alg === 'HS256' && isOther)) return 'legacy';
  return alg === 'HS256' ? 'shared-secret' : 'access';
}

function notesOnProfile({ alg }: TokenHeader, profile: ClaimsProfile): string[] {
  if (profile === 'legacy') return ['judged as a token of an earlier login (POSTERN_LEGACY_HS256_SECRET)'];
  return alg === 'HS256'
    ? ['judged as a token of POSTERN_ALGORITHM=HS256; --legacy judges it as one of an earlier login']
    : [];
}

/** Who acts for the subject (RFC 8693 section 4.1), in words. */
function notesOnActors(claims: unknown): string[] {
  const names = actorsOf(isObject(claims) ? readActor(claims.act) : null).map(({ subject, name }) =>
    name === null ? subject : `${name} (${subject})`,
  );
  return names.length === 0 ? [] : [`acting for the subject: ${names.join(', called by ')}`];
}

function notesOnText(text: string): string[] {
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
  const { sharedSecret, jwks } = options;
  const secret =
    sharedSecret === undefined
      ? null
      : await importOrNote('the shared secret', () => importSharedSecret(sharedSecret), notes);
  const ring = jwks === undefined ? null : await readKeySet(jwks, notes);
  return { ring, secret };
}

async function readKeySet(document: unknown, notes: string[]): Promise<KeyRing> {
  const jwks = isObject(document) && Array.isArray(document.keys) ? (document.keys as unknown[]) : null;
  if (jwks === null) notes.push('the key set is not a JWKS document');
  if (jwks?.length === 0)
    notes.push('the key set holds no keys: the service has none yet, or signs with a shared secret');
  const byKid = new Map<string, VerificationKey>();
  for (const [index, jwk] of (jwks ?? []).entries()) {
    const label = `key ${index + 1} of the set is ignored`;
    const key = await importOrNote(label, () => importVerificationKey(jwk), notes);
    if (key !== null) byKid.set(key.kid, key);
  }
  return createKeyRing([...byKid.values()]);
}

/** Imports a key. If the key breaks a rule, adds a note that begins with `label` and returns null. */
async function importOrNote<Key>(
  label: string,
  importKey: () => Key | Promise<Key>,
  notes: string[],
): Promise<Key | null> {
  try {
    return await importKey();
  } catch (error) {
    if (!(error instanceof KeyRefused)) throw error;
    notes.push(`${label}: ${error.message}`);
    return null;
  }
}

function headerProblems(header: TokenHeader, profile: ClaimsProfile, keys: ProvidedKeys): TokenRefusal[] {
  const { alg, kid, typ } = header;
  const { ring, secret } = keys;
  if (profile === 'legacy') return legacyHeaderProblems(header, ring);
  const isHmac = alg === 'HS256';
  const problems: TokenRefusal[] = [];
  // A verifier has either a key set or a shared secret. If only one was given, it refuses tokens of the other kind.
  const isOtherKind = isHmac ? ring !== null && secret === null : secret !== null && ring === null;
  if (isOtherKind || (!isHmac && !isSigningAlgorithm(alg))) problems.push(refusals.algNotAllowed);
  if (isHmac && kid !== undefined) problems.push(refusals.kidWithSharedSecret);
  if (!isHmac && kid === undefined) problems.push(refusals.kidMissing);
  if (ring !== null && kid !== undefined) {
    const key = ring.find(kid);
    if (key === undefined && !isHmac) problems.push(refusals.keyUnknown);
    if (key !== undefined && key.algorithm !== alg) problems.push(refusals.algMismatch);
  }
  if (isHmac && !SHARED_SECRET_TYPE.test(typ ?? '')) problems.push(refusals.sharedSecretType);
  if (!isHmac && !ACCESS_TOKEN_TYPE.test(typ ?? '')) problems.push(refusals.typeInvalid);
  return problems;
}

function legacyHeaderProblems(header: TokenHeader, ring: KeyRing | null): TokenRefusal[] {
  if (header.alg !== 'HS256') return [refusals.algNotAllowed];
  const fault = legacyHeaderFault(header, ring);
  return fault === null ? [] : [fault];
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
    ? { verdict: 'valid', why: 'the key has signed this header and these claims' }
    : {
        verdict: 'invalid',
        why: `its ${bytes} bytes are not a signature of this header and these claims by the key`,
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
    legacy: {
      subjectClaims: options.subjectClaims ?? DEFAULT_LEGACY_POLICY.subjectClaims,
      issuers: options.issuer === undefined ? textsOf(iss) : [options.issuer],
      audiences: options.audiences ?? textsOf(aud),
    },
  };
  return [...claimFaults(profile, claims, policy, options.nowMs / 1000)];
}

/** What a claim says, so that it is not checked; null when it is absent. */
function textsOf(claim: unknown): readonly string[] | null {
  if (claim === undefined || claim === null) return null;
  return [claim].flat().filter((text) => typeof text === 'string');
}

/** Decodes a segment as far as possible, without the checks of a verifier. Returns null when it is not JSON. */
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
