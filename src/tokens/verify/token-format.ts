import type { TokenRefusal } from '../../domain/rejection.ts';
import { splitCompactJws } from './compact-jws.ts';
import { refusals } from './token-refusals.ts';
import { parseStrictJson, type JsonObject } from './strict-json.ts';

/** The header of a token: exactly these members, and all of them strings. */
export interface TokenHeader {
  readonly alg: string;
  readonly kid: string | undefined;
  readonly typ: string | undefined;
}

/** A token whose form is sound. Nothing in it is believed yet: the signature has not been looked at. */
export interface UnverifiedToken {
  readonly ok: true;
  readonly header: TokenHeader;
  readonly claims: JsonObject;
  readonly signatureBytes: number;
}

type Refused = { readonly ok: false; readonly refusal: TokenRefusal };

/** Fatal, and keeps a byte order mark, which the JSON parser then refuses (T11). */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Stands before every signature (T01, T02, T07-T11): libraries accept no forgery but are lenient about form. What passes
 * is a compact JWS in canonical form, whose header has no member but alg, kid and typ, and whose claims are a JSON
 * object that every parser reads alike. Linear in the length of the text; nothing is looked up, fetched or decrypted.
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

/** Of a sound header, with the segment that it was read from: one key's tokens have one header. */
let lastHeader: { readonly segment: string; readonly result: ReturnType<typeof readHeader> } | null = null;

function readHeaderCached(segment: string): ReturnType<typeof readHeader> {
  if (lastHeader?.segment === segment) return lastHeader.result;
  const result = readHeader(segment);
  if (result.ok) lastHeader = { segment, result };
  return result;
}

/** Reads a header segment. A member that is not known refuses the token: crit, b64, zip, enc, jwk, jku, x5c and all (T06, T07). */
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

/** Reads a claims segment: one JSON object without doubled members (T10, T11). */
export function readClaimsSegment(
  segment: string,
): { readonly ok: true; readonly claims: JsonObject } | Refused {
  const claims = readObject(segment);
  if (claims === undefined) return refuse(refusals.claimsNotUtf8);
  if (claims === null) return refuse(refusals.claimsNotJson);
  return { ok: true, claims };
}

/** The object in a segment of canonical base64url; undefined where it is not UTF-8, null where it is not strict JSON. */
function readObject(segment: string): JsonObject | null | undefined {
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
