import type { Signer } from './signer.ts';

/** No issued token is longer (T26): it travels in a header of every request. */
export const MAX_ISSUED_TOKEN_BYTES = 1536;

/** What an access token says. Times are whole seconds since the epoch. */
export interface AccessTokenContents {
  readonly issuer: string;
  readonly audience: string;
  /** The user's id, or the service account's. */
  readonly subject: string;
  /** Present in a user's token, and what makes it one. */
  readonly sessionId: string | null;
  /** `postern` for a user, the service account's id for a service. */
  readonly clientId: string;
  readonly roles: readonly string[];
  /** At least 128 random bits; `createTokenId` makes one. */
  readonly tokenId: string;
  readonly issuedAtSeconds: number;
  readonly lifetimeSeconds: number;
}

/** A `jti`: 16 random bytes in base64url (T26; a UUID of version 4 has only 122 random bits). */
export function createTokenId(random: Uint8Array): string {
  if (random.length !== 16) throw new RangeError('a token id takes 16 random bytes');
  return Buffer.from(random).toString('base64url');
}

/**
 * Signs an access token with the claims of RFC 9068 section 2.2: ids and roles, no e-mail, no secret. Throws a
 * RangeError over 1536 bytes, which only an unreasonable number of roles can reach.
 */
export async function signAccessToken(signer: Signer, contents: AccessTokenContents): Promise<string> {
  const { issuer, audience, subject, sessionId, clientId, roles, tokenId, issuedAtSeconds, lifetimeSeconds } =
    contents;
  const token = await signer.sign({
    iss: issuer,
    sub: subject,
    aud: audience,
    exp: issuedAtSeconds + lifetimeSeconds,
    iat: issuedAtSeconds,
    jti: tokenId,
    ...(sessionId !== null && { sid: sessionId }),
    client_id: clientId,
    roles,
  });
  if (token.length > MAX_ISSUED_TOKEN_BYTES)
    throw new RangeError('the access token is longer than 1536 bytes');
  return token;
}
