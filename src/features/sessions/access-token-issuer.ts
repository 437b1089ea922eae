import { randomBytes } from 'node:crypto';

import type { Authentication } from '../../domain/claims/authentication.ts';
import { tokenRoomOf, tokenRoomViolations } from '../../domain/claims/token-room.ts';
import { SESSION_CLIENT_ID } from '../../domain/claims/derived-token.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import {
  type AccessTokenContents,
  createTokenId,
  signAccessToken,
} from '../../tokens/issue/sign-access-token.ts';
import type { Signer } from '../../tokens/issue/signer.ts';

export interface IssuedAccessToken {
  readonly token: string;
  readonly expiresInSeconds: number;
}

/** Issues access tokens, signed with the key that is active at that moment. */
export class AccessTokenIssuer {
  readonly #issuer: string;
  readonly #audiences: () => readonly [string, ...string[]];
  /** The lifetime of every issued token. */
  readonly lifetimeSeconds: number;
  readonly #signer: () => Signer | null;
  readonly #nowMs: () => number;
  readonly #secondFactorRoles: ReadonlySet<string>;

  constructor(options: {
    issuer: string;
    /** The audiences at the moment, the default first. */
    audiences: () => readonly [string, ...string[]];
    lifetimeSeconds: number;
    signer: () => Signer | null;
    /** Unix time, ms; sets `iat` and `exp` of the tokens. */
    nowMs: () => number;
    /** Roles that are put only into a user's token of level `aal2`. Default: none. */
    secondFactorRoles?: readonly string[];
  }) {
    this.#issuer = options.issuer;
    this.#audiences = options.audiences;
    this.lifetimeSeconds = options.lifetimeSeconds;
    this.#signer = options.signer;
    this.#nowMs = options.nowMs;
    this.#secondFactorRoles = new Set(options.secondFactorRoles);
  }

  /**
   * Returns the audience of a token for a request.
   *
   * @param requested the audience that the caller asked for; empty for the default
   * @throws Rejected `field-invalid` for an unknown audience
   */
  audienceFor(requested: string): string {
    if (requested === '') return this.#audiences()[0];
    if (this.serves(requested)) return requested;
    throw new Rejected({
      kind: 'field-invalid',
      violations: [
        {
          field: 'audience',
          description:
            'must be an audience of this service, or empty; an administrator lists them with ListAudiences',
        },
      ],
    });
  }

  /** The audiences at the moment, the default first. */
  get audiences(): readonly string[] {
    return this.#audiences();
  }

  /** Whether an audience, perhaps one of an earlier configuration or a deleted one, is known. */
  serves(audience: string): boolean {
    return this.#audiences().includes(audience);
  }

  /**
   * The key that signs now. Called before a change that ends with a token, so that the change is not committed when the
   * token cannot be issued.
   *
   * @throws Rejected `trust-stale` while this process has no signing key yet
   */
  requireSigner(): Signer {
    const signer = this.#signer();
    if (!signer) throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
    return signer;
  }

  /**
   * Checks that a user's claims fit into a token. They did under the settings under which they were stored; another
   * algorithm, issuer or audience may leave less room. Called before a change that ends with a token.
   *
   * @throws Rejected `claims-too-long`; `trust-stale` while this process has no signing key yet
   */
  requireRoom(user: { externalId: string | null; roles: readonly string[]; audience: string }): void {
    const { algorithm } = this.requireSigner();
    const room = tokenRoomOf({ algorithm, issuer: this.#issuer, audiences: [user.audience] });
    if (tokenRoomViolations(room, user, 'roles').length > 0) throw new Rejected({ kind: 'claims-too-long' });
  }

  /**
   * For claims that `requireRoom` has accepted. A role that needs a second factor is left out below level `aal2`.
   *
   * @throws Rejected `trust-stale` while this process has no signing key yet
   */
  issueToUser(user: {
    userId: string;
    sessionId: string;
    externalId: string | null;
    roles: readonly string[];
    audience: string;
    authentication: Authentication;
  }): Promise<IssuedAccessToken> {
    const { userId: subject, ...claims } = user;
    const { acr } = user.authentication;
    const tokenId = createTokenId(randomBytes(16));
    return this.#issue({
      ...claims,
      roles: acr === 'aal2' ? user.roles : user.roles.filter((role) => !this.#secondFactorRoles.has(role)),
      subject,
      clientId: SESSION_CLIENT_ID,
      tokenId,
      lifetimeSeconds: this.lifetimeSeconds,
    });
  }

  /**
   * @param service.tokenId from `createTokenId`, recorded in the database by the caller
   * @throws Rejected `trust-stale` while this process has no signing key yet
   */
  issueToService(service: {
    accountId: string;
    name: string;
    roles: readonly string[];
    audience: string;
    tokenId: string;
    /** Seconds. Default: that of every token. */
    lifetimeSeconds?: number;
  }): Promise<IssuedAccessToken> {
    const { accountId, name, roles, audience, tokenId, lifetimeSeconds = this.lifetimeSeconds } = service;
    return this.#issue({
      subject: accountId,
      sessionId: null,
      clientId: accountId,
      externalId: null,
      subjectName: name,
      roles,
      audience,
      tokenId,
      lifetimeSeconds,
    });
  }

  /**
   * Issues a token that was derived from another credential: for an API key or a token of the subject.
   *
   * @param derived.tokenId from `createTokenId`, recorded in the database by the caller
   * @param derived.issuedAtSeconds what the lifetime was computed with
   * @throws Rejected `claims-too-long`; `trust-stale` while this process has no signing key yet
   */
  async issueDerived(derived: Omit<AccessTokenContents, 'issuer'>): Promise<IssuedAccessToken> {
    return this.#issue(derived).catch((error: unknown) => {
      throw error instanceof RangeError ? new Rejected({ kind: 'claims-too-long' }) : error;
    });
  }

  async #issue(
    contents: Omit<AccessTokenContents, 'issuer' | 'issuedAtSeconds'> & { readonly issuedAtSeconds?: number },
  ): Promise<IssuedAccessToken> {
    const signer = this.requireSigner();
    const token = await signAccessToken(signer, {
      issuedAtSeconds: Math.floor(this.#nowMs() / 1000),
      ...contents,
      issuer: this.#issuer,
    });
    return { token, expiresInSeconds: contents.lifetimeSeconds };
  }
}

/** The result of a login, a refresh or a password change. */
export interface IssuedTokens {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  readonly refreshToken: string;
  readonly refreshExpiresInSeconds: number;
  readonly sessionId: string;
  readonly userId: string;
}
