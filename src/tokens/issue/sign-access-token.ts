import { type Actor, actorClaim } from '../../domain/claims/actor.ts';
import type { Authentication } from '../../domain/claims/authentication.ts';
import { claimsRoomOf, MAX_ISSUED_TOKEN_BYTES } from '../../domain/claims/token-room.ts';
import type { Signer } from './signer.ts';

/** The contents of an access token. Times are whole seconds since the epoch. */
export interface AccessTokenContents {
  readonly issuer: string;
  readonly audience: string;
  /** Id of the user or the service account. */
  readonly subject: string;
  /** Set in a token of a user, and only there: this distinguishes the two kinds. */
  readonly sessionId: string | null;
  /**
   * `postern` for a user's token from a login; the id of the service account for a service, and where one acts for the
   * subject; `exchange` for another token that was exchanged for a user.
   */
  readonly clientId: string;
  /** The user's id in another program; null without one, and for a service. */
  readonly externalId: string | null;
  /** The name of the service account, left out where it has no room beside the rest. Default: null, as for a user. */
  readonly subjectName?: string | null;
  /** Who acts for the subject. Default: null, for a token of the subject itself. */
  readonly actor?: Actor | null;
  /** How the user proved who they are, as far as it has room. Default: null, for a service account and what an API key is exchanged for. */
  readonly authentication?: Authentication | null;
  readonly roles: readonly string[];
  /** The `jti`, at least 128 random bits. `createTokenId` makes one. */
  readonly tokenId: string;
  readonly issuedAtSeconds: number;
  readonly lifetimeSeconds: number;
}

/**
 * Makes a `jti`: 16 random bytes as base64url (T26). A version 4 UUID would have only 122 random bits.
 *
 * @param random 16 random bytes
 */
export function createTokenId(random: Uint8Array): string {
  if (random.length !== 16) throw new RangeError('a token id needs 16 random bytes');
  return Buffer.from(random).toString('base64url');
}

/**
 * Signs an access token with the claims of RFC 9068 section 2.2: ids and roles, but no e-mail address and no secrets.
 * Beside the most roles and a long `external_id` there may be no room for all: then `amr` is left out first, then the name, `acr` and
 * `auth_time`. A token without these satisfies no requirement of a level, which is safe.
 *
 * Throws a RangeError when the token exceeds 1536 bytes: `userRoles` and `AccessTokenIssuer.requireRoom` prevent it.
 */
export async function signAccessToken(signer: Signer, contents: AccessTokenContents): Promise<string> {
  const { issuer, audience, subject, sessionId, clientId, externalId, roles } = contents;
  const { subjectName = null, actor = null, authentication = null } = contents;
  const { tokenId, issuedAtSeconds, lifetimeSeconds } = contents;
  const claimsWith = ({ name, proof }: OptionalClaims) => ({
    iss: issuer,
    sub: subject,
    aud: audience,
    exp: issuedAtSeconds + lifetimeSeconds,
    iat: issuedAtSeconds,
    jti: tokenId,
    ...(sessionId !== null && { sid: sessionId }),
    client_id: clientId,
    ...(externalId !== null && { external_id: externalId }),
    ...(name !== null && { name }),
    ...(actor !== null && { act: actorClaim(actor) }),
    ...(proof !== null && authenticationClaims(proof)),
    roles,
  });
  const room = claimsRoomOf(signer.algorithm);
  const all = { name: subjectName, proof: authentication };
  const fitting = [all, withoutMethods(all)]
    .map(claimsWith)
    .find((claims) => Buffer.byteLength(JSON.stringify(claims)) <= room);
  const token = await signer.sign(fitting ?? claimsWith({ name: null, proof: null }));
  if (token.length > MAX_ISSUED_TOKEN_BYTES)
    throw new RangeError(
      'the access token is longer than 1536 bytes; give its subject fewer roles or a shorter external_id',
    );
  return token;
}

interface OptionalClaims {
  readonly name: string | null;
  readonly proof: Authentication | null;
}

function withoutMethods({ name, proof }: OptionalClaims): OptionalClaims {
  return { name, proof: proof && { ...proof, amr: [] } };
}

function authenticationClaims({ acr, amr, authenticatedAtSeconds }: Authentication) {
  return {
    acr,
    ...(amr.length > 0 && { amr }),
    ...(authenticatedAtSeconds !== null && { auth_time: authenticatedAtSeconds }),
  };
}
