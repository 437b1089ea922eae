import type { Transaction } from '../../database/database.ts';
import type { Actor } from '../../domain/claims/actor.ts';
import type { Authentication } from '../../domain/claims/authentication.ts';
import type { UsedOnce } from '../used-once/used-once-queries.ts';
import type { TokenDependencies } from './derived-token-queries.ts';

/** What the caller of ExchangeToken asks for. Empty texts and lists: not asked for. */
export interface ExchangeRequest {
  /** Empty for the client certificate of the connection. */
  readonly subjectToken: string;
  /** The id or the name of a service account. */
  readonly serviceAccount: string;
  readonly audience: string;
  readonly roles: readonly string[];
  readonly actorToken: string;
  /** Seconds. */
  readonly lifetime?: number | undefined;
}

/** What a proof of identity may be exchanged for. `exchange-token.ts` issues no more than that. */
export interface ExchangeGrant {
  readonly subject: {
    readonly type: 'user' | 'service';
    readonly id: string;
    /** The name of a service account; null for a user. */
    readonly name: string | null;
    /** Null for a service account. */
    readonly sessionId: string | null;
    readonly externalId: string | null;
    /** That of the token which is exchanged; null for a service account and an API key. */
    readonly authentication: Authentication | null;
  };
  /** The claim `client_id`. */
  readonly clientId: string;
  /** Who acts for the subject; null when it acts for itself. */
  readonly actor: Actor | null;
  /** All roles that the token may have. */
  readonly roles: readonly string[];
  /** The audience of the token. */
  readonly audience: string;
  /** Unix time after which the token must not be valid; null for no limit but the lifetime of every token. */
  readonly expiresAtSeconds: number | null;
  /**
   * By what exchanges are counted: their number is limited. Null when the account itself has shown who it is, whose live
   * tokens are limited instead: whoever holds a token of it must not use up that limit, and so end its other tokens.
   */
  readonly countedBy: string | null;
  /** What ends the token when it ends. */
  readonly dependsOn: TokenDependencies;
  /** What is used up by the exchange; null when the proof may be used again. */
  readonly usesUp: UsedOnce | null;
  /**
   * Checks again what may have changed since the grant was made. Runs in the transaction of the exchange, when what the
   * token depends on is locked.
   *
   * @throws Rejected
   */
  readonly confirm?: (trx: Transaction) => Promise<void>;
  /** For the audit trail: what was exchanged. Contains no token and no key. */
  readonly details: Readonly<Record<string, unknown>>;
}
