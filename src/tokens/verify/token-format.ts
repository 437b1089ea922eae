import type { TokenRefusal } from '../../domain/rejection.ts';
import { splitCompactJws } from './compact-jws.ts';
import { refusals } from './token-refusals.ts';
import { parseStrictJson, type JsonObject } from './strict-json.ts';

/** The header of a token. It has no other members. */
export interface TokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
  readonly typ: string | undefined;
}

/** A well-formed token. Do not trust its contents: the signature has not been checked. */
export interface UnverifiedToken {
  readonly ok: true;
  readonly header: TokenHeader;
  readonly claims: JsonObject;
  readonly signatureBytes: number;
}

type Refused = { readonly ok: false; readonly refusal: TokenRefusal };

/** Throws on invalid UTF-8. Keeps a byte order mark, which the JSON parser then refuses (T11). */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Checks the format of a token before its signature (T01, T02, T07-T11): libraries accept no forgeries, but are lenient
 * about format. A token passes if it is a canonical compact JWS, its header has no members but alg, kid and typ, and its
 * claims are a JSON object that every parser reads the same way. Takes linear time, and looks up, fetches and decrypts
 * nothing.
 */
export function checkFormat(token: string): UnverifiedToken | Refused {
  const form = splitCompactJws(token);
  if (!form.ok) return form;
  const header = readHeaderCached(form.header);
  if (!header.ok) return header;
  const claims = readClaimsSegment(form.payload);
  if (!claims.ok) return claims;
  const signatureBytes = Math.floor((form.signature.length * 3) / 4);
  return { ok: true, header: header.header, claims: claims.claims, signatureBytes };
}

/** The last valid header and its segment: all tokens of one key have the same header. */
let lastHeader: { readonly segment: string; readonly result: ReturnType<typeof readHeader> } | null = null;

function readHeaderCached(segment: string): ReturnType<typeof readHeader> {
  if (lastHeader?.segment === segment) return lastHeader.result;
  const result = readHeader(segment);
  if (result.ok) lastHeader = { segment, result };
  return result;
}

/** Parses a header segment. Refuses any unknown member, such as crit, b64, zip, enc, jwk, jku or x5c (T06, T07). */
export function readHeader(segment: string): { readonly ok: true; readonly header: TokenHeader } | Refused {
  const members = readObject(segment);
  if (members === undefined) return refuse(refusals.headerNotUtf8);
  if (members === null) return refuse(refusals.headerNotJson);
  const { alg, kid, typ, ...others } = members;
  if (Object.keys(others).length > 0) return refuse(refusals.headerMembers);
  if (typeof alg !== 'string' || !isStringOrAbsent(kid) || !isStringOrAbsent(typ)) {
    return refuse(refusals.headerTypes);
  }
  if (kid !== undefined && (kid.length < 1 || kid.length > 128)) return refuse(refusals.kidLength);
  return { ok: true, header: { alg, kid, typ } };
}

/** Parses a claims segment: one JSON object without duplicate members (T10, T11). */
export function readClaimsSegment(
  segment: string,
): { readonly ok: true; readonly claims: JsonObject } | Refused {
  const claims = readObject(segment);
  if (claims === undefined) return refuse(refusals.claimsNotUtf8);
  if (claims === null) return refuse(refusals.claimsNotJson);
  return { ok: true, claims };
}

/** Parses the JSON object in a base64url segment. Returns undefined if it is not UTF-8, null if it is not strict JSON. */
export function readObject(segment: string): JsonObject | null | undefined {
  let text: string;
  try {
    text = utf8.decode(Buffer.from(segment, 'base64url'));
  } catch {
    return undefined;
  }
  return parseStrictJson(text);
}

function isStringOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}

function refuse(refusal: TokenRefusal): Refused {
  return { ok: false, refusal };
}
