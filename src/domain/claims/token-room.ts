import type { FieldViolation } from '../rejection.ts';

/** Maximum length of an issued token (T26), which is sent in a header of every request. */
export const MAX_ISSUED_TOKEN_BYTES = 1536;

/** The parts of a token besides its claims, in bytes: header, signature and two dots. RSA keys have 3072 bits. */
const BYTES_AROUND_CLAIMS = {
  ES256: 110 + 86 + 2,
  EdDSA: 110 + 86 + 2,
  RS256: 110 + 512 + 2,
  HS256: 36 + 43 + 2,
} as const;

/** What else takes room in a token. */
interface RoomSettings {
  readonly algorithm: keyof typeof BYTES_AROUND_CLAIMS;
  readonly issuer: string;
  readonly audiences: readonly string[];
}

/** The JSON of a user's claims without `external_id` and without the values of issuer, audience and roles. */
const OTHER_CLAIMS_BYTES = 205;

/**
 * The claims of a level, which have no room of their own: the roles and `external_id` of users who were stored before there were levels
 * must still fit. They are left out where they do not fit.
 */
export const LEVEL_CLAIMS_BYTES = ',"acr":"aal2","auth_time":1800000000'.length;

/** `,"external_id":""` */
export const EXTERNAL_ID_MEMBER_BYTES = 17;

/**
 * The bytes of JSON that a user's roles and `external_id` may have in a token together. Without an `external_id` there is
 * room for all roles that `userRoles` allows, under every algorithm; with one of 255 bytes also, but with RS256 or with
 * many characters that JSON escapes only for fewer.
 */
export function tokenRoomOf(settings: RoomSettings): number {
  return roomBeside(OTHER_CLAIMS_BYTES, settings);
}

/** The JSON of a service account's claims without the values of issuer, audience, name and roles. */
const SERVICE_CLAIMS_BYTES = 199;

/**
 * The bytes of JSON that a service account's roles and name may have in a token together. There is always room for the
 * roles alone; a name for which there is no room beside them is left out.
 */
export function serviceTokenRoomOf(settings: RoomSettings): number {
  return roomBeside(SERVICE_CLAIMS_BYTES, settings);
}

function roomBeside(otherClaimsBytes: number, { algorithm, issuer, audiences }: RoomSettings): number {
  const audienceBytes = Math.max(...audiences.map(bytesInJson));
  return claimsRoomOf(algorithm) - otherClaimsBytes - bytesInJson(issuer) - audienceBytes;
}

/** The bytes of JSON that the claims of a token may have together. */
export function claimsRoomOf(algorithm: RoomSettings['algorithm']): number {
  return Math.floor(((MAX_ISSUED_TOKEN_BYTES - BYTES_AROUND_CLAIMS[algorithm]) * 3) / 4);
}

/** Whether a user's roles and `external_id` fit into `room`, as `tokenRoomOf` gives it. */
export function tokenRoomViolations(
  room: number,
  user: { readonly roles: readonly string[]; readonly externalId: string | null },
  field: 'external_id' | 'roles',
): readonly FieldViolation[] {
  if (user.externalId === null) return [];
  const rolesBytes = JSON.stringify([...new Set(user.roles)]).length;
  const excess = rolesBytes + EXTERNAL_ID_MEMBER_BYTES + bytesInJson(user.externalId) - room;
  if (excess <= 0) return [];
  const description = `roles and external_id are together ${excess} bytes too long for an access token of ${MAX_ISSUED_TOKEN_BYTES}; give the user fewer roles or a shorter external_id`;
  return [{ field, description }];
}

/** The bytes of a text in JSON, without its quotes. */
export function bytesInJson(value: string): number {
  return Buffer.byteLength(JSON.stringify(value)) - 2;
}
